#include "tunproxy_ssh2.h"

#include "libssh2_priv.h"
#include "transport.h"

void tunproxy_ssh2_take_packets(LIBSSH2_SESSION *session, tunproxy_ssh2_on_packet *on_packet)
{
    session->on_packet = on_packet;
}

int tunproxy_ssh2_read(LIBSSH2_SESSION *session)
{
    return _libssh2_transport_read(session);
}

int tunproxy_ssh2_send(LIBSSH2_SESSION *session, const unsigned char *head, size_t head_length,
                       const unsigned char *body, size_t body_length)
{
    return _libssh2_transport_send(session, head, head_length, body, body_length);
}
