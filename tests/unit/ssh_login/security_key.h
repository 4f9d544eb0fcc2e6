// A security key (FIDO) in software, and an ssh-agent that has it: what OpenSSH's PROTOCOL.u2f
// describes, but for the touch.
#pragma once

#include <openssl/evp.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>

#include "core/base/bytes.h"
#include "core/base/unique_fd.h"
#include "core/io/event.h"
#include "tests/unit/ssh_login/shell.h"

namespace tunproxy::testing {

class SecurityKey {
 public:
  enum class Type : uint8_t { ed25519, ecdsa };

  explicit SecurityKey(Type type);

  const ByteVector& blob() const { return blob_; }  ///< the public key
  std::string public_line() const;                  ///< as in a .pub file
  /// The text of the file that ssh-keygen keeps for it: a handle without the key, which is in the
  /// hardware.
  std::string file() const;
  /// string algorithm, string signature, byte flags, u32 counter
  ByteVector sign(Bytes data);

  bool touched = true;  ///< somebody is there: in the signature's flags

 private:
  std::string type_name() const;
  ByteVector point() const;
  ByteVector raw_signature(Bytes data) const;

  const Type type_;
  std::unique_ptr<EVP_PKEY, void (*)(EVP_PKEY*)> key_;
  ByteVector blob_;
  uint32_t counter_ = 0;
};

/// Serves the key at a socket of its own, which is in SSH_AUTH_SOCK while it lives.
class SecurityKeyAgent {
 public:
  SecurityKeyAgent(const ScratchDirectory& scratch, SecurityKey& key);
  SecurityKeyAgent(const SecurityKeyAgent&) = delete;
  SecurityKeyAgent& operator=(const SecurityKeyAgent&) = delete;
  ~SecurityKeyAgent();

  int signatures() const { return signatures_; }

 private:
  void serve();
  void serve_client(int fd);
  ByteVector answer(Bytes request);
  bool wait_for(int fd) const;

  SecurityKey& key_;
  UniqueFd listener_;
  io::Event over_;
  std::atomic<int> signatures_ = 0;
  std::thread thread_;
};

}  // namespace tunproxy::testing
