/* The firmware as two calls: for main.c, and for a sketch's setup() and loop(). */
#ifndef ASC_FIRMWARE_H
#define ASC_FIRMWARE_H
#ifdef __cplusplus
extern "C" {
#endif

/* Brings up the port and the application, on the project's static memory.  Called once. */
void asc_firmware_start(void);

/* Waits for one cell of the serial line and answers it (asc_app.h); for ever in a loop. */
void asc_firmware_step(void);

/* 1 while it listens to the microphone: then it has something to do also when no byte has come. */
int asc_firmware_listens(void);

#ifdef __cplusplus
}
#endif
#endif
