// Contexts: what the TLS connections of one listener, or to one server, have in common:
// certificates, trust, versions, sessions to resume.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "core/base/result.h"

struct ssl_ctx_st;
struct ssl_st;
struct ssl_session_st;

namespace tunproxy::tls {

enum class Version : uint8_t { v1_2, v1_3 };

struct Freed {
  void operator()(ssl_ctx_st* context) const;
  void operator()(ssl_st* connection) const;
  void operator()(ssl_session_st* session) const;
};

struct ServerOptions {
  std::string cert;       ///< PEM: the server's certificate, then those between it and the root
  std::string key;        ///< PEM, not encrypted, not readable by everybody
  std::string client_ca;  ///< PEM; if not empty, only clients with a certificate by one of these
  Version min_version = Version::v1_2;
};

/// Used by one loop's thread. Connections hold on to theirs: a new one changes nothing for them.
class ServerContext {
 public:
  /// Reads the files. Error usage: one of them cannot be read, makes no sense, or is not the
  /// other's counterpart; the message names it.
  static Result<std::shared_ptr<ServerContext>> create(const ServerOptions& options);

  /// A connection's side that awaits a ClientHello. For core/tls.
  std::unique_ptr<ssl_st, Freed> make() const;

 private:
  explicit ServerContext(std::unique_ptr<ssl_ctx_st, Freed> context);
  std::unique_ptr<ssl_ctx_st, Freed> context_;
};

struct ClientOptions {
  std::string name;  ///< the host name or address that the server's certificate must be for
  std::string ca;    ///< PEM; if empty: whom the system trusts
  std::string cert;  ///< PEM, for servers that ask for one; may be empty
  std::string key;
  Version min_version = Version::v1_2;
};

/// For one server, whose sessions it keeps to resume them. Used by one loop's thread.
class ClientContext {
 public:
  /// Errors as above, and for a missing name.
  static Result<std::shared_ptr<ClientContext>> create(const ClientOptions& options);
  ~ClientContext();
  ClientContext(const ClientContext&) = delete;
  ClientContext& operator=(const ClientContext&) = delete;

  const std::string& name() const { return name_; }
  /// A connection's side that is about to greet. For core/tls.
  std::unique_ptr<ssl_st, Freed> make();

 private:
  ClientContext(std::unique_ptr<ssl_ctx_st, Freed> context, std::string name);
  static int on_session(ssl_st* connection, ssl_session_st* session);

  std::unique_ptr<ssl_ctx_st, Freed> context_;
  std::string name_;
  std::unique_ptr<ssl_session_st, Freed> session_;  // the newest
};

}  // namespace tunproxy::tls
