/* id: identifiers for connections and messages: sortable by time, unique across hosts and processes.
 *
 * 26 characters of Crockford base 32, as a ULID: 48 bits of milliseconds since the epoch, then 80
 * bits of which 48 are random per process and 32 count up. */
#pragma once

#define SL_ID_SIZE 27 /* with the terminating NUL */

/* Writes a new id. Safe in any thread; after a fork the child draws its own random part. */
void sl_id_new(char id[SL_ID_SIZE]);
