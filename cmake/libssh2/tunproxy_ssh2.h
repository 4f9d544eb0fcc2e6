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

/* From now on, packets go to `on_packet` first; NULL: to libssh2 alone. */
void tunproxy_ssh2_take_packets(LIBSSH2_SESSION *session, tunproxy_ssh2_on_packet *on_packet);

/* Reads one packet. Its type, LIBSSH2_ERROR_EAGAIN or another negative error. */
int tunproxy_ssh2_read(LIBSSH2_SESSION *session);

/* Sends one packet, whose payload is `head` and `body` one after the other (together < 34 700 bytes).
   0, LIBSSH2_ERROR_EAGAIN (nothing was sent: keys are being exchanged), or another error. */
int tunproxy_ssh2_send(LIBSSH2_SESSION *session, const unsigned char *head, size_t head_length,
                       const unsigned char *body, size_t body_length);

/* The session id (RFC 4253 7.2); valid as long as the session. */
const unsigned char *tunproxy_ssh2_session_id(LIBSSH2_SESSION *session, size_t *length);

/* The server's SSH_MSG_KEXINIT (RFC 4253 7.1), after an exchange that ended with
   LIBSSH2_ERROR_KEX_FAILURE; valid as long as the session. */
const unsigned char *tunproxy_ssh2_server_kexinit(LIBSSH2_SESSION *session, size_t *length);

/* server-sig-algs (RFC 8308 3.1), or NULL. */
const char *tunproxy_ssh2_signature_algorithms(LIBSSH2_SESSION *session);

/* From now on all that libssh2 frees is wiped first (`on`), or not: while it handles secrets. */
void tunproxy_ssh2_wipe_freed(LIBSSH2_SESSION *session, int on);

/* Signs `data` with the private key in `key` (OpenSSH's format or PEM) by a plain `algorithm`
   ("rsa-sha2-256"). *signature, from malloc, is what stands in the signature's second string
   (RFC 4253 6.6). 0; LIBSSH2_ERROR_METHOD_NONE: no such algorithm; another error: the key does not
   open. `passphrase` is never NULL, else OpenSSL would ask on the terminal. */
int tunproxy_ssh2_sign(LIBSSH2_SESSION *session, const char *algorithm, const char *key,
                       size_t key_length, const char *passphrase, const unsigned char *data,
                       size_t length, unsigned char **signature, size_t *signature_length);

/* The public key (RFC 4253 6.6) of a private one, from malloc. 0, or an error: it does not open. */
int tunproxy_ssh2_public_key(LIBSSH2_SESSION *session, const char *key, size_t key_length,
                             const char *passphrase, unsigned char **blob, size_t *blob_length);

/* Called by libssh2 (see the patch) when the server's host key came: prepares the key that is to
   verify the exchange hash. Of a certificate (OpenSSH's PROTOCOL.certkeys) that is the key inside;
   whether the certificate itself is good is for the caller of libssh2_session_hostkey() to say. */
int tunproxy_ssh2_init_host_key(LIBSSH2_SESSION *session);

#ifdef __cplusplus
}
#endif

#endif
