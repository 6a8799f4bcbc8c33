// An Arduino core that is a program of this machine: Serial is a TCP server, and as picky as a board's USB.
//
// Received bytes wait in a ring of 256; write() takes a packet of at most 64 bytes, and nothing while nobody
// listens; flush() hangs on boards, so it ends the program here.  Ends when stdin closes.
#include "Arduino.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

FakeSerial Serial;

static int server = -1, client = -1;
static uint8_t ring[256];
static unsigned head, held;
static bool output[256];

static void fail(const char *why)
{
    fprintf(stderr, "%s\n", why);
    exit(3);
}

static void serve(int milliseconds)
{
    pollfd p[2] = {{STDIN_FILENO, POLLIN, 0}, {client < 0 ? server : client, POLLIN, 0}};
    uint8_t bytes[64];
    if (held == sizeof ring) { // the host has to wait
        p[1].events = 0;
    }
    if (poll(p, 2, milliseconds) <= 0) {
        return;
    }
    if (p[0].revents && read(STDIN_FILENO, bytes, sizeof bytes) <= 0) {
        exit(0);
    }
    if (!(p[1].revents & (POLLIN | POLLHUP))) {
        return;
    }
    if (client < 0) {
        int on = 1;
        client = accept(server, NULL, NULL);
        setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        return;
    }
    size_t room = sizeof ring - held;
    ssize_t n = recv(client, bytes, room < sizeof bytes ? room : sizeof bytes, MSG_DONTWAIT);
    if (n == 0) {
        close(client);
        client = -1;
    }
    for (ssize_t i = 0; i < n; i++) {
        ring[(head + held++) % sizeof ring] = bytes[i];
    }
}

size_t FakeSerial::write(uint8_t byte) { return write(&byte, 1); }

size_t FakeSerial::write(const uint8_t *buffer, size_t size)
{
    if (size == 0 || size > 64) {
        fail("write: not one packet");
    }
    if (client < 0) {
        return 0;
    }
    return send(client, buffer, size, MSG_NOSIGNAL) == static_cast<ssize_t>(size) ? size : 0;
}

void FakeSerial::flush() { fail("flush: hangs on boards"); }

int FakeSerial::available()
{
    serve(0);
    return static_cast<int>(held);
}

int FakeSerial::read()
{
    if (held == 0) {
        return -1;
    }
    int byte = ring[head];
    head = (head + 1) % sizeof ring;
    held--;
    return byte;
}

int FakeSerial::peek() { return held ? ring[head] : -1; }
void FakeSerial::begin(unsigned long baud) { begin(baud, 0); }
FakeSerial::operator bool() { return client >= 0; }

void FakeSerial::begin(unsigned long baud, uint16_t)
{
    sockaddr_in address = {};
    socklen_t size = sizeof address;
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    server = socket(AF_INET, SOCK_STREAM, 0);
    if (baud == 1200 || bind(server, reinterpret_cast<sockaddr *>(&address), size) < 0 ||
        listen(server, 1) < 0 || getsockname(server, reinterpret_cast<sockaddr *>(&address), &size) < 0) {
        fail("begin");
    }
    printf("listening socket://127.0.0.1:%u\n", static_cast<unsigned>(ntohs(address.sin_port)));
    fflush(stdout);
}

static unsigned long now_us()
{
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<unsigned long>(now.tv_sec) * 1000000UL + static_cast<unsigned long>(now.tv_nsec) / 1000UL;
}

void (*on_yield)() = nullptr; // what else happens then

void yield()
{
    serve(on_yield ? 0 : 1);
    if (on_yield) {
        on_yield();
    }
}

void delay(unsigned long milliseconds) { usleep(static_cast<useconds_t>(milliseconds * 1000)); }
// 32 bits, as on a board
unsigned long millis() { return static_cast<uint32_t>(now_us() / 1000); }
unsigned long micros() { return static_cast<uint32_t>(now_us()); }
void pinMode(pin_size_t pin, PinMode mode) { output[pin] = mode == OUTPUT; }

void digitalWrite(pin_size_t pin, PinStatus)
{
    if (!output[pin]) {
        fail("digitalWrite: not an output");
    }
}

int main()
{
    setup();
    for (;;) {
        loop();
        serve(held ? 0 : 1);
    }
}
