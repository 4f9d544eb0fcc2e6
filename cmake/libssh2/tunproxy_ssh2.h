/* What tunproxy needs of libssh2's inside: packets in and out of its transport layer (RFC 4253).

   tunproxy speaks the connection protocol (RFC 4254) itself: libssh2 opens one channel at a time,
   searches one queue for every read and closes only when the far side does. Everything here is for
   non-blocking sessions whose LIBSSH2_CALLBACK_SEND always takes the whole packet. */
#ifndef TUNPROXY_SSH2_H
#define TUNPROXY_SSH2_H

#include <libssh2.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Sees every packet before libssh2 does, from within tunproxy_ssh2_read(); must not send.
   Returns 0 to leave it to libssh2, 1 when done with it, 2 when done and `data` (from malloc) is taken,
   to be freed by the one who took it. `abstract` is the session's. */
typedef int tunproxy_ssh2_on_packet(LIBSSH2_SESSION *session, unsigned char *data, size_t length,
                                    void **abstract);

/* From now on, packets go to `on_packet` first. */
void tunproxy_ssh2_take_packets(LIBSSH2_SESSION *session, tunproxy_ssh2_on_packet *on_packet);

/* Reads one packet. Its type, LIBSSH2_ERROR_EAGAIN or another negative error. */
int tunproxy_ssh2_read(LIBSSH2_SESSION *session);

/* Sends one packet, whose payload is `head` and `body` one after the other (together < 34 700 bytes).
   0, LIBSSH2_ERROR_EAGAIN (nothing was sent: keys are being exchanged), or another error. */
int tunproxy_ssh2_send(LIBSSH2_SESSION *session, const unsigned char *head, size_t head_length,
                       const unsigned char *body, size_t body_length);

#ifdef __cplusplus
}
#endif

#endif
