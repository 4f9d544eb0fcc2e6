#include "core/tls/context.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "core/tls/failure.h"

namespace tunproxy::tls {
namespace {

using Context = std::unique_ptr<SSL_CTX, Freed>;

constexpr const char* kCiphers =
    "ECDHE+AESGCM:ECDHE+CHACHA20";  // of TLS 1.2; 1.3 has only good ones
constexpr unsigned char kSessionContext[] = "tunproxy";

Error bad_file(const std::string& file, std::string_view why) {
  return {ErrorCode::usage, fmt::format("TLS: {}: {}", file, why)};
}

/// OpenSSL must not ask on the terminal.
int no_passphrase(char*, int, int, void* wanted) {
  if (wanted != nullptr) *static_cast<bool*>(wanted) = true;
  return -1;
}

Result<Context> make_context(const SSL_METHOD* method, Version min_version) {
  Context context(SSL_CTX_new(method));
  if (!context) return Error{ErrorCode::general, "TLS: no memory for a context"};
  const int version = min_version == Version::v1_3 ? TLS1_3_VERSION : TLS1_2_VERSION;
  SSL_CTX_set_min_proto_version(context.get(), version);
  SSL_CTX_set_options(context.get(),
                      SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_PRIORITIZE_CHACHA);
  SSL_CTX_set_mode(context.get(), SSL_MODE_ENABLE_PARTIAL_WRITE |
                                      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                      SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_default_passwd_cb(context.get(), no_passphrase);
  if (SSL_CTX_set_cipher_list(context.get(), kCiphers) != 1) return file_failure("ciphers");
  return context;
}

Result<void> readable(const std::string& file, bool secret) {
  struct stat status {};
  if (::stat(file.c_str(), &status) != 0) return bad_file(file, std::strerror(errno));
  if (secret && (status.st_mode & S_IROTH) != 0) {
    return bad_file(file, fmt::format("everybody may read this key; run: chmod o= '{}'", file));
  }
  return {};
}

Result<void> use_certificate(SSL_CTX* context, const std::string& cert, const std::string& key) {
  if (auto ok = readable(cert, false); !ok) return ok;
  if (auto ok = readable(key, true); !ok) return ok;
  ERR_clear_error();
  bool passphrase_wanted = false;
  SSL_CTX_set_default_passwd_cb_userdata(context, &passphrase_wanted);
  if (SSL_CTX_use_certificate_chain_file(context, cert.c_str()) != 1) return file_failure(cert);
  const bool used = SSL_CTX_use_PrivateKey_file(context, key.c_str(), SSL_FILETYPE_PEM) == 1;
  SSL_CTX_set_default_passwd_cb_userdata(context, nullptr);
  if (!used) {
    const unsigned long code = ERR_peek_last_error();
    const bool other = ERR_GET_REASON(code) == X509_R_KEY_VALUES_MISMATCH;
    if (other) return bad_file(key, "it is not the key of the certificate " + cert);
    if (passphrase_wanted) return bad_file(key, "it is encrypted; decrypt it with: openssl pkey");
    return file_failure(key);
  }
  return {};
}

Result<void> trust(SSL_CTX* context, const std::string& ca) {
  if (auto ok = readable(ca, false); !ok) return ok;
  ERR_clear_error();
  if (SSL_CTX_load_verify_file(context, ca.c_str()) != 1) return file_failure(ca);
  return {};
}

bool is_address(const std::string& name) {
  unsigned char buffer[sizeof(in6_addr)];
  return ::inet_pton(AF_INET, name.c_str(), buffer) == 1 ||
         ::inet_pton(AF_INET6, name.c_str(), buffer) == 1;
}

}  // namespace

void Freed::operator()(ssl_ctx_st* context) const {
  SSL_CTX_free(context);
}
void Freed::operator()(ssl_st* connection) const {
  SSL_free(connection);
}
void Freed::operator()(ssl_session_st* session) const {
  SSL_SESSION_free(session);
}

Result<std::shared_ptr<ServerContext>> ServerContext::create(const ServerOptions& options) {
  auto context = make_context(TLS_server_method(), options.min_version);
  if (!context) return context.error();
  SSL_CTX* raw = context->get();
  if (auto used = use_certificate(raw, options.cert, options.key); !used) return used.error();
  SSL_CTX_set_session_id_context(raw, kSessionContext, sizeof kSessionContext - 1);
  if (!options.client_ca.empty()) {
    if (auto trusted = trust(raw, options.client_ca); !trusted) return trusted.error();
    SSL_CTX_set_client_CA_list(raw, SSL_load_client_CA_file(options.client_ca.c_str()));
    SSL_CTX_set_verify(raw, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, note_rejection);
  }
  return std::shared_ptr<ServerContext>(new ServerContext(std::move(*context)));
}

ServerContext::ServerContext(std::unique_ptr<ssl_ctx_st, Freed> context)
    : context_(std::move(context)) {}

std::unique_ptr<ssl_st, Freed> ServerContext::make() const {
  std::unique_ptr<ssl_st, Freed> connection(SSL_new(context_.get()));
  if (connection) SSL_set_accept_state(connection.get());
  return connection;
}

Result<std::shared_ptr<ClientContext>> ClientContext::create(const ClientOptions& options) {
  if (options.name.empty()) return Error{ErrorCode::usage, "TLS: the server's name is missing"};
  auto context = make_context(TLS_client_method(), options.min_version);
  if (!context) return context.error();
  SSL_CTX* raw = context->get();
  SSL_CTX_set_verify(raw, SSL_VERIFY_PEER, note_rejection);
  if (options.ca.empty()) {
    SSL_CTX_set_default_verify_paths(raw);
  } else if (auto trusted = trust(raw, options.ca); !trusted) {
    return trusted.error();
  }
  if (!options.cert.empty()) {
    const std::string& key = options.key.empty() ? options.cert : options.key;
    if (auto used = use_certificate(raw, options.cert, key); !used) return used.error();
  }
  return std::shared_ptr<ClientContext>(new ClientContext(std::move(*context), options.name));
}

ClientContext::ClientContext(std::unique_ptr<ssl_ctx_st, Freed> context, std::string name)
    : context_(std::move(context)), name_(std::move(name)) {
  SSL_CTX_set_session_cache_mode(context_.get(),
                                 SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_set_app_data(context_.get(), this);
  SSL_CTX_sess_set_new_cb(context_.get(), &ClientContext::on_session);
}

ClientContext::~ClientContext() {
  SSL_CTX_sess_set_new_cb(context_.get(), nullptr);
}

int ClientContext::on_session(ssl_st* connection, ssl_session_st* session) {
  auto* self = static_cast<ClientContext*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(connection)));
  self->session_.reset(session);
  return 1;  // it is ours
}

std::unique_ptr<ssl_st, Freed> ClientContext::make() {
  std::unique_ptr<ssl_st, Freed> connection(SSL_new(context_.get()));
  if (!connection) return nullptr;
  SSL* raw = connection.get();
  SSL_set_connect_state(raw);
  SSL_set_hostflags(raw, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  const bool named = is_address(name_)
                         ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(raw), name_.c_str()) == 1
                         : SSL_set1_host(raw, name_.c_str()) == 1 &&
                               SSL_set_tlsext_host_name(raw, name_.c_str()) == 1;
  if (!named) return nullptr;  // without a name anybody's certificate would do
  if (session_) SSL_set_session(raw, session_.get());
  // A ticket of TLS 1.3 is for one use (RFC 8446 C.4); the server sends new ones.
  if (session_ && SSL_SESSION_get_protocol_version(session_.get()) >= TLS1_3_VERSION) {
    session_.reset();
  }
  return connection;
}

}  // namespace tunproxy::tls
