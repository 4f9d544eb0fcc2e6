// Authentication with keys (RFC 4252 §7), from the agent and from files.
#include <fmt/format.h>
#include <libssh2.h>

#include <cstdlib>

#include "core/base/log.h"
#include "core/ssh/auth.h"
#include "core/ssh/fingerprint.h"

namespace tunproxy::ssh {
namespace {

/// The name without what marks a certificate: signatures carry the plain one.
std::string_view plain(std::string_view algorithm) {
  return algorithm.substr(0, algorithm.find("-cert-v01@openssh.com"));
}

}  // namespace

struct Authenticator::SignCallbacks {
  /// libssh2 calls it when the server would take the key. Signs with the agent.
  static int sign(LIBSSH2_SESSION*, unsigned char** signature, size_t* length,
                  const unsigned char* data, size_t data_length, void** abstract) {
    auto* self = static_cast<Authenticator*>(*abstract);
    const std::string_view algorithm = signature_algorithm({data, data_length});
    auto made = self->agent_->sign(self->key().blob, {data, data_length}, algorithm);
    if (!made) {
      self->sign_failure_ = made.error().message;
      return -1;
    }
    Bytes rest = *made;
    const auto name = take_string(rest);
    if (!name || as_text(*name) != plain(algorithm)) return LIBSSH2_ERROR_ALGO_UNSUPPORTED;
    // For keys in hardware libssh2 wants all that follows the name, else what is in the string
    // there.
    Bytes value = rest;
    if (!algorithm.starts_with("sk-")) value = take_string(rest).value_or(Bytes());
    *signature = static_cast<unsigned char*>(std::malloc(value.size() + 1));
    if (*signature == nullptr) return LIBSSH2_ERROR_ALLOC;
    std::copy(value.begin(), value.end(), *signature);
    *length = value.size();
    return 0;
  }

  /// Only notes that the server would take the key: the passphrase is asked for now, not before.
  static int note(LIBSSH2_SESSION*, unsigned char**, size_t*, const unsigned char*, size_t,
                  void** abstract) {
    static_cast<Authenticator*>(*abstract)->taken_ = true;
    return -1;
  }
};

void Authenticator::collect_keys() {
  std::vector<AgentKey> agent_keys;
  if (!options_.agent_socket.empty()) {
    auto agent = Agent::connect(options_.agent_socket, cancellation_);
    auto listed = agent ? agent->list() : agent.error();
    if (listed) {
      agent_ = std::move(*agent);
      agent_keys = std::move(*listed);
    } else {
      log::debug("no keys from the agent: {}", listed.error().message);
      if (listed.error().code == ErrorCode::timed_out) tried_.push_back(listed.error().message);
    }
  }
  keys_ = order_keys(std::move(agent_keys), options_.named_keys, options_.default_keys, tried_);
}

Result<Authenticator::Step> Authenticator::begin_key() {
  log::debug("offering {}", key().label);
  sign_failure_.clear();
  taken_ = false;
  passphrase_ = Secret();
  passphrase_tries_ = 0;
  if (key().in_agent) {
    set_state(State::agent_key);
    return Step::go_on;
  }
  if (key_type(key().blob).starts_with("sk-")) {
    return next_key(" (a key in hardware: add it to ssh-agent)");
  }
  const bool ask_server_first = key().file->encrypted && !key().blob.empty() &&
                                !questions_.credentials().find(passphrase_name()).has_value();
  if (!ask_server_first) return open_file_key();
  set_state(State::probing);
  return Step::go_on;
}

Result<Authenticator::Step> Authenticator::try_agent_key(LIBSSH2_SESSION* session) {
  void* self = this;
  const ByteVector& blob = key().blob;
  const int result = libssh2_userauth_publickey(session, options_.user.c_str(), blob.data(),
                                                blob.size(), &SignCallbacks::sign, &self);
  if (!sign_failure_.empty()) return next_key(fmt::format(" ({})", sign_failure_));
  return key_answered(session, result);
}

Result<Authenticator::Step> Authenticator::probe(LIBSSH2_SESSION* session) {
  void* self = this;
  const ByteVector& blob = key().blob;
  const int result = libssh2_userauth_publickey(session, options_.user.c_str(), blob.data(),
                                                blob.size(), &SignCallbacks::note, &self);
  if (taken_) return open_file_key();
  return key_answered(session, result);
}

/// Finds the passphrase, if one is needed, and goes on to offer the key.
Result<Authenticator::Step> Authenticator::open_file_key() {
  const KeyFile& file = *key().file;
  remembered_used_ = false;
  if (file.encrypted) {
    auto remembered = questions_.credentials().find(passphrase_name());
    if (remembered) {
      passphrase_ = std::move(*remembered);
      remembered_used_ = true;
    } else {
      if (!questions_.anybody()) return next_key(" (nobody to ask for its passphrase)");
      auto answer =
          questions_.ask(fmt::format("Passphrase for key '{}': ", display_path(file.path)), false);
      if (!answer && answer.error().code == ErrorCode::cancelled) return answer.error();
      if (!answer) return next_key(" (nobody to ask for its passphrase)");
      if (answer->size() == 0) return next_key(" (no passphrase given)");
      passphrase_ = std::move(*answer);
    }
    if (!file.may_open_with(passphrase_)) return wrong_passphrase();
  }
  set_state(State::file_key);
  return Step::go_on;
}

Result<Authenticator::Step> Authenticator::wrong_passphrase() {
  passphrase_ = Secret();
  if (remembered_used_) {
    questions_.credentials().forget(passphrase_name());
  } else if (++passphrase_tries_ == kMaxTries) {
    return next_key(" (wrong passphrase)");
  } else {
    questions_.show("That is not the passphrase; please try again.\n");
  }
  return open_file_key();
}

Result<Authenticator::Step> Authenticator::try_file_key(LIBSSH2_SESSION* session) {
  const KeyFile& file = *key().file;
  // Never a null passphrase: OpenSSL would ask on the terminal.
  const int result = libssh2_userauth_publickey_frommemory(
      session, options_.user.data(), options_.user.size(), nullptr, 0, file.content.c_str(),
      file.content.size(), passphrase_.c_str());
  switch (result) {
    case LIBSSH2_ERROR_SOCKET_NONE:  // these come before anything is sent: the key does not open
    case LIBSSH2_ERROR_FILE:
    case LIBSSH2_ERROR_KEYFILE_AUTH_FAILED:
    case LIBSSH2_ERROR_DECRYPT:
    case LIBSSH2_ERROR_PROTO:
      if (file.encrypted) return wrong_passphrase();
      return next_key(" (of a kind that is not supported)");
    default:
      break;
  }
  if (file.encrypted) questions_.credentials().remember(passphrase_name(), passphrase_);
  return key_answered(session, result);
}

Result<Authenticator::Step> Authenticator::key_answered(LIBSSH2_SESSION* session, int result) {
  if (result == LIBSSH2_ERROR_EAGAIN) return Step::wait;
  if (result == 0) {
    log::debug("authenticated with {}", key().label);
    return Step::authenticated;
  }
  if (lost(session, result)) {
    tried_.push_back(key().label);
    return connection_lost(session);
  }
  ++refusals_;
  if (result != LIBSSH2_ERROR_PUBLICKEY_UNVERIFIED) return next_key("");
  // The server wanted this key and then said no: half a success, if the methods differ now.
  std::string label = key().label;
  ++next_key_;
  passphrase_ = Secret();
  ask_methods_again(session, std::move(label));
  return Step::go_on;
}

Result<Authenticator::Step> Authenticator::next_key(std::string_view remark) {
  tried_.push_back(key().label + std::string(remark));
  ++next_key_;
  passphrase_ = Secret();
  set_state(State::choosing);
  return Step::go_on;
}

}  // namespace tunproxy::ssh
