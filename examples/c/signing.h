/*
 * signing.h: code that programs with a key of their own share: settings, and the client that signs in with the key.
 */
#ifndef SIGNING_H
#define SIGNING_H

#include "mde.h"

/* The program's name, for its messages. Each program has its own. */
extern const char program[];

/* A variable of the environment. Ends the program if it is not set. */
const char *setting(const char *name);

/*
 * Prints the machine actions of the tenant. The client signs in with MDE_CERTIFICATE, whose key `sign` uses; `key` is its
 * user data. Returns the exit code.
 */
int list_actions(mde_sign_fn sign, void *key);

#endif
