/* The descriptor of a packet tunnel's interface, which Apple's API does not give: it is found among those that the
 * process has open. */
#ifndef TUNPROXY_UTUN_H
#define TUNPROXY_UTUN_H

/** The utun descriptor of this process, or -1. It belongs to the system: hand over a copy (dup()). */
int tunproxy_find_utun(void);

#endif
