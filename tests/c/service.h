/* How tests that need a service reach the simulator, whose address the test runner puts in variables. */
#ifndef SERVICE_H
#define SERVICE_H

#include "support.h"

enum { MACHINES = 4 };

/* The n-th machine of the simulator. For the main thread: the result is kept in one place per machine. */
const char *machine(int n);

/* A machine whose collections the simulator never answers. */
const char *stalled_machine(void);

/* Options for the simulator and its application. */
mde_options *service_options(void);

/* A client from options, which it frees; ends the program on failure. */
mde_client *client_from(mde_options *options);

/* Milliseconds on a clock that nobody sets. */
int64_t now_ms(void);

void sleep_ms(int ms);

#endif
