/* A peer on the loopback interface that misbehaves in one way, on one thread. */
#ifndef PEER_H
#define PEER_H

enum behaviour {
    PEER_FULL,      /* accepts nothing, and its backlog is full */
    PEER_DEAF,      /* accepts and never reads; for one call at a time, with a LARGE_REQUEST */
    PEER_SILENT,    /* accepts and never sends a byte */
    PEER_DRIP,      /* answers 200 and sends the body one byte per 100 ms */
    PEER_UNAVAILABLE, /* answers 503 with Retry-After: 30 */
    PEER_ANSWER     /* answers with a machine action */
};

/* More bytes than the kernel buffers for a PEER_DEAF. */
#define LARGE_REQUEST (6 * 32768)

/* Starts a peer; it runs until the process ends. Returns its port. */
int peer_start(enum behaviour behaviour);

#endif
