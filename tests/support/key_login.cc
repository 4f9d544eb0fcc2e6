#include "tests/support/key_login.h"

#include <libssh2.h>

namespace tunproxy::testing {

Result<void> KeyLogin::check_host_key(const ssh::HostKey& key) {
  if (key.type == "ssh-ed25519" && !key.blob.empty()) return {};
  return Error{ErrorCode::host_key_refused,
               "not the kind of key that the fixture has: " + key.type};
}

Result<bool> KeyLogin::authenticate(_LIBSSH2_SESSION* session) {
  const int code = libssh2_userauth_publickey_fromfile_ex(
      session, user_.c_str(), static_cast<unsigned>(user_.size()), nullptr, identity_.c_str(), "");
  if (code == 0) return true;
  if (code == LIBSSH2_ERROR_EAGAIN) return false;
  return Error{ErrorCode::authentication_failed, "code " + std::to_string(code)};
}

}  // namespace tunproxy::testing
