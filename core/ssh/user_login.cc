#include "core/ssh/user_login.h"

#include <pwd.h>
#include <unistd.h>

#include <cstdlib>

#include "core/base/log.h"
#include "core/ssh/known_hosts.h"

namespace tunproxy::ssh {
namespace {

std::string home_directory() {
  const char* home = std::getenv("HOME");
  if (home != nullptr && *home != '\0') return home;
  passwd entry{};
  passwd* found = nullptr;
  char buffer[16 * 1024];
  if (::getpwuid_r(::getuid(), &entry, buffer, sizeof buffer, &found) == 0 && found != nullptr) {
    return found->pw_dir;
  }
  return "/";
}

void expand(std::vector<std::string>& paths) {
  for (std::string& path : paths) {
    if (path.starts_with("~/")) path = home_directory() + path.substr(1);
  }
}

void fill_in(UserLoginOptions& options) {
  if (options.directory.empty()) options.directory = home_directory() + "/.ssh";
  expand(options.identity_files);
  expand(options.known_hosts_files);
  if (options.known_hosts_files.empty()) {
    options.known_hosts_files = {options.directory + "/known_hosts",
                                 options.directory + "/known_hosts2"};
  }
  if (!options.credentials) options.credentials = std::make_shared<Credentials>();
}

Result<AuthOptions> auth_options(const UserLoginOptions& options) {
  AuthOptions auth;
  auth.user = options.user;
  auth.host = options.host;
  auth.port = options.port;
  for (const std::string& path : options.identity_files) {
    auto key = KeyFile::read(path);
    if (!key) return key.error();
    auth.named_keys.push_back(std::move(*key));
  }
  if (auth.named_keys.empty()) {
    for (const char* name : {"/id_ed25519", "/id_ecdsa", "/id_rsa"}) {
      auth.default_keys.push_back(options.directory + name);
    }
  }
  const char* agent = std::getenv("SSH_AUTH_SOCK");
  if (options.use_agent && agent != nullptr) auth.agent_socket = agent;
  return auth;
}

}  // namespace

Result<std::unique_ptr<UserLogin>> UserLogin::create(UserLoginOptions options) {
  if (options.host.empty()) return Error{ErrorCode::usage, "the SSH server's name is missing"};
  if (options.user.empty()) return Error{ErrorCode::usage, "the SSH user's name is missing"};
  fill_in(options);
  auto auth = auth_options(options);
  if (!auth) return auth.error();
  return std::unique_ptr<UserLogin>(new UserLogin(std::move(options), std::move(*auth)));
}

UserLogin::UserLogin(UserLoginOptions options, AuthOptions auth)
    : options_(std::move(options)),
      questions_(options_.prompter, options_.credentials),
      authenticator_(std::move(auth), questions_, cancellation_) {}

std::string UserLogin::host_key_algorithms() {
  std::vector<std::string> files = options_.known_hosts_files;
  files.insert(files.end(), options_.system_known_hosts_files.begin(),
               options_.system_known_hosts_files.end());
  return KnownHosts::load(files).host_key_algorithms(options_.host, options_.port);
}

Result<void> UserLogin::check_host_key(const HostKey& key) {
  HostKeyCheck check;
  check.host = options_.host;
  check.port = options_.port;
  check.user_files = options_.known_hosts_files;
  check.system_files = options_.system_known_hosts_files;
  check.policy = options_.host_key_policy;
  check.prompter = options_.prompter;
  check.asking = questions_.waiting_flag();
  return ssh::check_host_key(check, key);
}

Result<bool> UserLogin::authenticate(_LIBSSH2_SESSION* session) {
  return authenticator_.step(session);
}

void UserLogin::cancel() {
  cancellation_.cancel();
  if (options_.prompter != nullptr) options_.prompter->cancel();
}

}  // namespace tunproxy::ssh
