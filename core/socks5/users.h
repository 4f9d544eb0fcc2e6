// The users of a listener, and the files that hold what their passwords hash to.
#pragma once

#include <string>
#include <string_view>

#include "core/base/result.h"

namespace tunproxy::socks5 {

struct User {
  std::string name;
  std::string hash;  ///< in the forms of crypt(5): yescrypt, bcrypt, SHA-512 …, with its salt
  std::string password{};  ///< in clear, if `hash` is empty: is yet to be hashed
};

/// Reads the password of `name` from `file`, which holds
/// - lines "NAME:HASH", as `htpasswd -B` and `htpasswd -5` write them, of which one is the user's;
/// - or one line "HASH", as `mkpasswd` prints it;
/// - or one line with the password itself, if nobody but the owner may read the file.
/// Error usage, without a secret, says what is wrong with the name, the file or the hash.
Result<User> load_user(std::string_view name, const std::string& file);

/// Hashes a password with a new salt, by the library's preferred method, which takes its time.
/// Error usage for one that RFC 1929 cannot carry, or that has a NUL. From any thread.
Result<std::string> hash_password(const std::string& password);

/// True if `password` hashes to `hash`. Takes as long as the method of the hash wants, and no less
/// for a wrong password. From any thread.
bool password_matches(const std::string& password, const std::string& hash);

}  // namespace tunproxy::socks5
