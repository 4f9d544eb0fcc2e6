#include "tunproxy_ssh2.h"

#include <openssl/crypto.h>

#ifdef __APPLE__
#include <malloc/malloc.h>
#define size_of_block(ptr) malloc_size(ptr)
#else
#include <malloc.h>
#define size_of_block(ptr) malloc_usable_size(ptr)
#endif

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

const unsigned char *tunproxy_ssh2_session_id(LIBSSH2_SESSION *session, size_t *length)
{
    *length = session->session_id_len;
    return session->session_id;
}

const unsigned char *tunproxy_ssh2_server_kexinit(LIBSSH2_SESSION *session, size_t *length)
{
    *length = session->remote.kexinit ? session->remote.kexinit_len : 0;
    return session->remote.kexinit;
}

const char *tunproxy_ssh2_signature_algorithms(LIBSSH2_SESSION *session)
{
    return session->server_sign_algorithms;
}

static LIBSSH2_FREE_FUNC(plain_free)
{
    (void)abstract;
    free(ptr);
}

static LIBSSH2_FREE_FUNC(wiping_free)
{
    (void)abstract;
    if(ptr)
        OPENSSL_cleanse(ptr, size_of_block(ptr));
    free(ptr);
}

void tunproxy_ssh2_wipe_freed(LIBSSH2_SESSION *session, int on)
{
    session->free = on ? wiping_free : plain_free;
}

static const LIBSSH2_HOSTKEY_METHOD *find_method(const char *name, size_t length)
{
    const LIBSSH2_HOSTKEY_METHOD **method = libssh2_hostkey_methods();

    for(; *method && (*method)->name; method++) {
        if(strlen((*method)->name) == length && !memcmp((*method)->name, name, length))
            return *method;
    }
    return NULL;
}

int tunproxy_ssh2_sign(LIBSSH2_SESSION *session, const char *algorithm, const char *key,
                       size_t key_length, const char *passphrase, const unsigned char *data,
                       size_t length, unsigned char **signature, size_t *signature_length)
{
    const LIBSSH2_HOSTKEY_METHOD *method = find_method(algorithm, strlen(algorithm));
    void *opened = NULL;
    struct iovec vector;
    int rc;

    if(!method || !method->initPEMFromMemory || !method->signv)
        return LIBSSH2_ERROR_METHOD_NONE;
    if(method->initPEMFromMemory(session, key, key_length, (const unsigned char *)passphrase,
                                 &opened))
        return LIBSSH2_ERROR_FILE;
    vector.iov_base = (void *)data;
    vector.iov_len = length;
    rc = method->signv(session, signature, signature_length, 1, &vector, &opened);
    method->dtor(session, &opened);
    return rc ? LIBSSH2_ERROR_FILE : 0;
}

int tunproxy_ssh2_public_key(LIBSSH2_SESSION *session, const char *key, size_t key_length,
                             const char *passphrase, unsigned char **blob, size_t *blob_length)
{
    unsigned char *name = NULL;
    size_t name_length = 0;
    int rc = _libssh2_pub_priv_keyfilememory(session, &name, &name_length, blob, blob_length, key,
                                             key_length, passphrase);

    if(name)
        LIBSSH2_FREE(session, name);
    return rc;
}

/* The plain key in a certificate: its fields follow the nonce and end before the serial number. */
static int plain_key(LIBSSH2_SESSION *session, const char *type, size_t type_length,
                     unsigned char **plain, size_t *plain_length)
{
    struct string_buf in;
    unsigned char *text, *fields, *out;
    size_t length;
    int count = 1; /* Ed25519 */

    in.data = session->server_hostkey;
    in.dataptr = in.data;
    in.len = session->server_hostkey_len;
    if(_libssh2_get_string(&in, &text, &length) || _libssh2_get_string(&in, &text, &length))
        return -1; /* type and nonce */
    if(type[0] != 's' || type_length == 7)
        count = 2; /* ECDSA: curve, point; RSA: e, n */
    fields = in.dataptr;
    while(count--) {
        if(_libssh2_get_string(&in, &text, &length))
            return -1;
    }
    *plain_length = 4 + type_length + (size_t)(in.dataptr - fields);
    out = *plain = LIBSSH2_ALLOC(session, *plain_length);
    if(!out)
        return -1;
    _libssh2_store_str(&out, type, type_length);
    memcpy(out, fields, (size_t)(in.dataptr - fields));
    return 0;
}

int tunproxy_ssh2_init_host_key(LIBSSH2_SESSION *session)
{
    static const char suffix[] = "-cert-v01@openssh.com";
    const char *end = strstr(session->hostkey->name, suffix);
    const char *type = session->hostkey->name;
    size_t length = (size_t)(end - type), type_length = length;
    unsigned char *plain;
    size_t plain_length;
    int rc;

    if(!end)
        return session->hostkey->init(session, session->server_hostkey,
                                      session->server_hostkey_len,
                                      &session->server_hostkey_abstract);

    /* The certificate must be of the type that was negotiated. */
    if(!strncmp(type, "rsa-", 4)) {
        type = "ssh-rsa";
        type_length = 7;
    }
    if(session->server_hostkey_len < 4 + type_length + sizeof(suffix) - 1 ||
       memcmp(session->server_hostkey + 4, type, type_length) ||
       memcmp(session->server_hostkey + 4 + type_length, suffix, sizeof(suffix) - 1) ||
       plain_key(session, type, type_length, &plain, &plain_length))
        return -1;
    /* From here to the next key exchange the plain method verifies. */
    session->hostkey = find_method(session->hostkey->name, length);
    rc = session->hostkey ? session->hostkey->init(session, plain, plain_length,
                                                   &session->server_hostkey_abstract) : -1;
    LIBSSH2_FREE(session, plain);
    return rc;
}
