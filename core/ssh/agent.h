// A client of ssh-agent (draft-ietf-sshm-ssh-agent): lists keys and has data signed.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/base/bytes.h"
#include "core/base/result.h"
#include "core/base/time.h"
#include "core/base/unique_fd.h"
#include "core/io/event.h"

namespace tunproxy::ssh {

struct AgentKey {
  ByteVector blob;
  std::string comment;
};

/// Blocking, but never for longer than its bounds. Used by one thread.
class Agent {
 public:
  static constexpr Duration kListTimeout = 5s;
  static constexpr Duration kSignTimeout = 60s;  ///< the agent may ask its user

  /// `socket_path`: as in SSH_AUTH_SOCK. `cancelled` ends what blocks. REQUIRES: it
  /// outlives the agent.
  static Result<Agent> connect(const std::string& socket_path, const io::Event& cancelled);

  Result<std::vector<AgentKey>> list();

  /// The agent's signature (string algorithm, then what RFC 4253 §6.6 calls the signature), over
  /// `data`; `algorithm` chooses the hash for RSA keys.
  Result<ByteVector> sign(Bytes blob, Bytes data, std::string_view algorithm);

 private:
  Agent(UniqueFd socket, const io::Event& cancelled)
      : socket_(std::move(socket)), cancelled_(&cancelled) {}

  Result<ByteVector> exchange(const ByteVector& message, Duration timeout);
  Result<void> write_all(Bytes bytes, Instant deadline);
  Result<void> read_exactly(MutableBytes bytes, Instant deadline);
  Result<void> wait_for(short events, Instant deadline);

  UniqueFd socket_;
  const io::Event* cancelled_;
};

}  // namespace tunproxy::ssh
