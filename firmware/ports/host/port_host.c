/* The port for a PC: the line is a TCP server on 127.0.0.1, as the emulator's is.
 *
 * Prints "listening socket://127.0.0.1:PORT" and serves one client after the other; ends when stdin closes,
 * so that it never outlives the program that started it.  The microphone plays the raw s16le file that the
 * environment's MCU_ASC_MIC names; a block passes whenever the application sleeps, so it is never late. */
#define _POSIX_C_SOURCE 200809L
#include "asc_port.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static struct {
    int server, client; /* client: -1 while nobody is there */
    uint8_t *buffer;    /* the armed receive */
    uint32_t wanted, got;
} line = {-1, -1, 0, 0, 0};

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

void asc_port_init(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    line.server = socket(AF_INET, SOCK_STREAM, 0);
    if (line.server < 0 || bind(line.server, (struct sockaddr *)&address, size) < 0 ||
        listen(line.server, 1) < 0 || getsockname(line.server, (struct sockaddr *)&address, &size) < 0) {
        fail("cannot listen on 127.0.0.1");
    }
    printf("listening socket://127.0.0.1:%u\n", (unsigned)ntohs(address.sin_port));
    fflush(stdout);
}

static void hang_up(void)
{
    close(line.client);
    line.client = -1;
}

static void end_with_parent(short events)
{
    uint8_t unused[64];
    if (events != 0 && read(STDIN_FILENO, unused, sizeof unused) <= 0) {
        exit(0);
    }
}

/* Waits until the client can do what `events` says, or `milliseconds` (-1: no limit) pass: 0.  Lets a new
 * client in. */
static int ready(short events, int milliseconds)
{
    for (;;) {
        struct pollfd p[2] = {{STDIN_FILENO, POLLIN, 0}, {line.client < 0 ? line.server : line.client, 0, 0}};
        int found;
        p[1].events = line.client < 0 ? POLLIN : events;
        found = poll(p, 2, milliseconds);
        if (found < 0 && errno != EINTR) {
            fail("poll");
        }
        if (found == 0) {
            return 0;
        }
        end_with_parent(p[0].revents);
        if (p[1].revents == 0) {
            continue;
        }
        if (line.client >= 0) {
            return 1;
        }
        line.client = accept(line.server, NULL, NULL);
        if (line.client >= 0) {
            int on = 1;
            setsockopt(line.client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        }
    }
}

void asc_port_arm(void *buf, uint32_t n)
{
    line.buffer = buf;
    line.wanted = n;
    line.got = 0;
}

uint32_t asc_port_wait(void)
{
    while (line.got < line.wanted) {
        ssize_t n;
        if (!ready(POLLIN, line.got > 0 ? (int)ASC_PORT_IDLE_MS : -1)) {
            break;
        }
        n = recv(line.client, line.buffer + line.got, line.wanted - line.got, 0);
        if (n > 0) {
            line.got += (uint32_t)n;
        } else if (n == 0 || errno != EINTR) {
            hang_up(); /* what came so far is a partial cell; the next client finds a device that waits */
            if (line.got > 0) {
                break;
            }
        }
    }
    return line.got;
}

uint32_t asc_port_came(void) { return line.got > 0 || ready(POLLIN, 0) != 0; }

void asc_port_write(const void *buf, uint32_t n)
{
    const uint8_t *p = buf;
    while (n > 0 && line.client >= 0) {
        ssize_t sent;
        (void)ready(POLLOUT, -1);
        sent = send(line.client, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent > 0) {
            p += sent;
            n -= (uint32_t)sent;
        } else if (errno != EINTR && errno != EAGAIN) {
            hang_up(); /* a cable that was cut: the rest goes nowhere */
        }
    }
}

uint32_t asc_port_cycles(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint32_t)((uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec);
}

uint32_t asc_port_stack_used(void) { return 0; }

void asc_port_led(uint32_t on) { (void)on; }

void asc_port_colour(uint32_t rgb) { (void)rgb; }

/* ---- the microphone ---- */

static struct {
    FILE *file;
    asc_mic_block *ring;
    uint32_t passed, taken; /* blocks of time, blocks given back */
    uint32_t full;          /* ring[0] holds the block at hand */
} mic;

const char *asc_port_mic_start(uint32_t rate_hz, asc_mic_block *ring, uint32_t blocks)
{
    const char *path = getenv("MCU_ASC_MIC");
    (void)rate_hz;
    (void)blocks;
    asc_port_mic_stop();
    if (path == NULL) {
        return "this machine has no microphone: MCU_ASC_MIC names no file";
    }
    mic.file = fopen(path, "rb");
    mic.ring = ring;
    mic.passed = mic.taken = mic.full = 0;
    return mic.file ? NULL : "the file that MCU_ASC_MIC names cannot be read";
}

asc_mic_state asc_port_mic_take(const asc_mic_block **block)
{
    *block = mic.ring;
    if (mic.full) {
        return ASC_MIC_READY;
    }
    if (mic.taken == mic.passed) {
        return ASC_MIC_EMPTY;
    }
    for (uint32_t i = 0; i < ASC_MIC_BLOCK; i++) {
        const int low = getc(mic.file), high = low == EOF ? EOF : getc(mic.file);
        if (high == EOF && i == 0) {
            return ASC_MIC_ENDED;
        }
        mic.ring->pcm[i] = high == EOF ? 0 : (int16_t)(uint16_t)((unsigned)low | (unsigned)high << 8);
    }
    mic.ring->lost = 0;
    mic.ring->stamp = asc_port_cycles();
    mic.full = 1;
    return ASC_MIC_READY;
}

void asc_port_mic_give(void)
{
    mic.full = 0;
    mic.taken++;
}

void asc_port_mic_sleep(void) { mic.passed++; }

void asc_port_mic_stop(void)
{
    if (mic.file != NULL) {
        fclose(mic.file);
        mic.file = NULL;
    }
}
