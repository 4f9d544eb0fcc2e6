// Certificates that the openssl program made, in a scratch directory.
#pragma once

#include <cstdint>
#include <string>

#include "core/tls/context.h"
#include "tests/unit/ssh_login/shell.h"

namespace tunproxy::testing {

enum class Valid : uint8_t { now, no_more, not_yet };

class Certificates {
 public:
  /// An authority "ca" and, by it, "server" for server.example and 127.0.0.1.
  Certificates();

  std::string pem(const std::string& name) const { return scratch_.path(name + ".pem"); }
  std::string key(const std::string& name) const { return scratch_.path(name + ".key"); }
  std::string path(const std::string& name) const { return scratch_.path(name); }

  void make_authority(const std::string& name);
  /// Makes NAME.pem and NAME.key, signed by `authority`.
  void make(const std::string& name, const std::string& authority, const std::string& names,
            Valid valid = Valid::now);

  tls::ServerOptions server() const { return {pem("server"), key("server"), "", {}}; }
  tls::ClientOptions client() const { return {"server.example", pem("ca"), "", "", {}}; }

 private:
  ScratchDirectory scratch_;
};

}  // namespace tunproxy::testing
