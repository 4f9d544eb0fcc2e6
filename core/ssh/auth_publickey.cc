// Authentication with keys and certificates (RFC 4252 §7), from the agent, files and memory.
#include <fmt/format.h>

#include <algorithm>

#include "core/base/log.h"
#include "core/ssh/auth.h"
#include "core/ssh/certificate.h"
#include "core/ssh/fingerprint.h"
#include "core/ssh/key_signer.h"
#include "tunproxy_ssh2.h"

namespace tunproxy::ssh {

/// Offers the next key that can be offered at all.
Result<bool> Authenticator::begin_key() {
  if (!keys_) {
    collect_keys();
    prefer_what_the_server_takes();
  }
  while (next_key_ < keys_->size()) {
    const auto offered = offer_key();
    if (!offered) return offered.error();
    if (*offered) return true;
  }
  return false;
}

void Authenticator::collect_keys() {
  std::vector<AgentKey> agent_keys;
  if (!options_.agent_socket.empty()) {
    auto agent = Agent::connect(options_.agent_socket, cancelled_);
    auto listed = agent ? agent->list() : agent.error();
    if (listed) {
      agent_ = std::move(*agent);
      agent_keys = std::move(*listed);
    } else {
      log::debug("no keys from the agent: {}", listed.error().message);
      if (listed.error().code == ErrorCode::timed_out) tried_.push_back(listed.error().message);
    }
  }
  keys_ = order_keys(std::move(agent_keys), options_.keys, tried_);
}

/// Each refused key costs one of the server's MaxAuthTries: those of a kind that it does not name
/// come last.
void Authenticator::prefer_what_the_server_takes() {
  const std::string server = AuthWire::signature_algorithms(session_);
  if (server.empty()) return;
  std::stable_partition(keys_->begin(), keys_->end(), [&](const CandidateKey& candidate) {
    const auto algorithm = signature_algorithm(key_type(candidate.blob), server, {});
    return candidate.blob.empty() || list_has(server, algorithm);
  });
}

/// False: this key cannot be offered; the next is in hand.
Result<bool> Authenticator::offer_key() {
  if (key().blob.empty()) {
    if (auto found = find_public_key(); !found) {
      if (found.error().code == ErrorCode::cancelled) return found.error();
      leave_key(fmt::format(" ({})", found.error().message));
      return false;
    }
  }
  const std::string_view type = key_type(key().blob);
  algorithm_ =
      signature_algorithm(type, AuthWire::signature_algorithms(session_), options_.key_algorithms);
  if (algorithm_.empty()) {
    leave_key(options_.key_algorithms.empty() ? " (the server takes RSA keys only with SHA-1)"
                                              : " (its algorithm is not among those allowed)");
    return false;
  }
  if (key().agent_blob.empty() && type.starts_with("sk-")) {
    leave_key(" (a key in hardware: add it to ssh-agent with ssh-add)");
    return false;
  }
  log::debug("offering {} with {}", key().label, algorithm_);
  wire_.queue(key_query(options_.user, request_algorithm(type, algorithm_), key().blob));
  set_state(State::key_query);
  return true;
}

/// The server would take the key: now, not before, is a passphrase asked for.
Result<void> Authenticator::sign_key() {
  size_t length = 0;
  const unsigned char* id = tunproxy_ssh2_session_id(session_, &length);
  const std::string name = request_algorithm(key_type(key().blob), algorithm_);
  ByteVector request = key_request(options_.user, name, key().blob);
  ByteVector data;
  append_string(data, {id, length});
  append(data, request);
  const auto made = signature(data);
  if (!made) {
    if (made.error().code == ErrorCode::cancelled) return made.error();
    leave_key(fmt::format(" ({})", made.error().message));
    set_state(State::choosing);
    return {};
  }
  append_string(request, *made);
  wire_.queue(std::move(request));
  set_state(State::key_request);
  return {};
}

Result<ByteVector> Authenticator::signature(Bytes data) {
  return key().agent_blob.empty() ? file_signature(data) : agent_signature(data);
}

Result<ByteVector> Authenticator::agent_signature(Bytes data) {
  if (key_type(key().agent_blob).starts_with("sk-")) {
    needed_user_ = true;
    questions_.show(fmt::format("Confirm user presence for {}\n", key().label));
  }
  auto made = agent_->sign(key().agent_blob, data, algorithm_);
  if (!made) return made.error();
  Bytes rest = *made;
  const auto name = take_string(rest);
  if (!name || as_text(*name) != algorithm_) {
    return Error{ErrorCode::not_allowed, fmt::format("the agent cannot sign with {}", algorithm_)};
  }
  return made;
}

Result<ByteVector> Authenticator::file_signature(Bytes data) {
  const KeyFile& file = *key().file;
  return with_passphrase<ByteVector>(file, [&](const Secret& passphrase) {
    return sign(session_, file, passphrase, algorithm_, data);
  });
}

/// A PEM file without a .pub beside it says what key it is only when it is open.
Result<void> Authenticator::find_public_key() {
  const KeyFile& file = *key().file;
  auto blob = with_passphrase<ByteVector>(
      file, [&](const Secret& passphrase) { return public_key(session_, file, passphrase); });
  if (!blob) return blob.error();
  key().blob = std::move(*blob);
  return {};
}

/// Opens the key with the passphrase that is known, else asks for it, until it is the right one.
template <typename T, typename Use>
Result<T> Authenticator::with_passphrase(const KeyFile& file, Use use) {
  if (!file.encrypted) return use(Secret());
  const std::string name = "passphrase " + file.path;
  if (const auto known = known_passphrase(file)) {
    if (file.may_open_with(*known)) {
      if (auto done = use(*known)) return done;
    }
    questions_.credentials().forget(name);
    if (file.known_passphrase)
      return Error{ErrorCode::not_allowed, "the passphrase given is wrong"};
  }
  for (int tries = 0; tries < kMaxPassphrases; ++tries) {
    if (tries > 0) questions_.show("That is not the passphrase; please try again.\n");
    auto given =
        questions_.ask(fmt::format("Passphrase for key '{}': ", display_path(file.path)), false);
    if (!given && given.error().code == ErrorCode::cancelled) return given.error();
    if (!given) return Error{ErrorCode::not_allowed, "nobody to ask for its passphrase"};
    if (given->size() == 0) return Error{ErrorCode::not_allowed, "no passphrase given"};
    if (!file.may_open_with(*given)) continue;
    if (auto done = use(*given)) {
      questions_.credentials().remember(name, *given);
      return done;
    }
  }
  return Error{ErrorCode::not_allowed, "wrong passphrase"};
}

std::optional<Secret> Authenticator::known_passphrase(const KeyFile& file) {
  if (file.known_passphrase) return file.known_passphrase;
  return questions_.credentials().find("passphrase " + file.path);
}

void Authenticator::leave_key(std::string_view remark) {
  tried_.push_back(key().label + std::string(remark));
  ++next_key_;
}

/// After one step of several the keys that were refused may do for the next.
void Authenticator::on_key_taken() {
  keys_->erase(keys_->begin() + static_cast<std::ptrdiff_t>(next_key_ - 1));
  next_key_ = 0;
}

}  // namespace tunproxy::ssh
