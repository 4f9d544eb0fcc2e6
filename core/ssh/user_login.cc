#include "core/ssh/user_login.h"

#include <cstdlib>
#include <utility>
#include <vector>

#include "core/base/home.h"
#include "core/base/log.h"
#include "core/ssh/known_hosts.h"

namespace tunproxy::ssh {
namespace {

void expand(std::vector<std::string>& paths) {
  std::erase(paths, "none");
  for (std::string& path : paths) path = expand_home(path);
}

void fill_in(UserLoginOptions& options) {
  if (options.directory.empty()) options.directory = home_directory() + "/.ssh";
  if (options.known_hosts_files.empty()) {
    options.known_hosts_files = {options.directory + "/known_hosts",
                                 options.directory + "/known_hosts2"};
  }
  if (options.identity_files.empty() && options.usual_identity_files.empty() &&
      options.keys.empty()) {
    for (const char* name :
         {"/id_rsa", "/id_ecdsa", "/id_ecdsa_sk", "/id_ed25519", "/id_ed25519_sk"}) {
      options.usual_identity_files.push_back(options.directory + name);
    }
  }
  for (auto* paths :
       {&options.identity_files, &options.usual_identity_files, &options.certificate_files,
        &options.known_hosts_files, &options.system_known_hosts_files}) {
    expand(*paths);
  }
  if (!options.credentials) options.credentials = std::make_shared<Credentials>();
}

std::string variable(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value != nullptr ? value : "";
}

std::string agent_socket(const UserLoginOptions& options) {
  const std::string& named = options.agent_socket;
  if (!options.use_agent || named == "none") return {};
  if (named.empty() || named == "SSH_AUTH_SOCK") return variable("SSH_AUTH_SOCK");
  if (named.starts_with('$')) return variable(named.substr(1));
  return expand_home(named);
}

Result<KeySources> key_sources(const UserLoginOptions& options) {
  KeySources sources;
  for (const MemoryKey& memory : options.keys) {
    auto key =
        KeyFile::from_memory(memory.name, memory.content, memory.passphrase, memory.certificate);
    if (!key) return key.error();
    sources.named.push_back(std::move(*key));
  }
  for (const std::string& path : options.identity_files) {
    auto key = KeyFile::read(path);
    if (!key) return key.error();
    sources.named.push_back(std::move(*key));
  }
  sources.usual = options.usual_identity_files;
  sources.certificates = options.certificate_files;
  sources.named_only = options.identities_only;
  return sources;
}

Result<AuthOptions> auth_options(const UserLoginOptions& options) {
  auto keys = key_sources(options);
  if (!keys) return keys.error();
  AuthOptions auth;
  auth.user = options.user;
  auth.host = options.host;
  auth.port = options.port;
  auth.keys = std::move(*keys);
  auth.agent_socket = agent_socket(options);
  auth.key_algorithms = options.key_algorithms;
  auth.password = options.password;
  auth.password_prompts = options.password_prompts;
  if (!options.preferred_methods.empty()) auth.methods = options.preferred_methods;
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
      questions_(options_.prompter, options_.credentials, cancelled_),
      authenticator_(std::move(auth), questions_, cancelled_) {}

std::string UserLogin::host_key_algorithms() {
  return known_hosts(host_key_check())
      .host_key_algorithms(HostName(options_.host, options_.port, options_.host_key_alias),
                           options_.host_key_algorithms);
}

Result<void> UserLogin::check_host_key(const HostKey& key) {
  return ssh::check_host_key(host_key_check(), key);
}

HostKeyCheck UserLogin::host_key_check() {
  HostKeyCheck check;
  check.host = options_.host;
  check.port = options_.port;
  check.user_files = options_.known_hosts_files;
  check.system_files = options_.system_known_hosts_files;
  check.lines = options_.known_hosts_lines;
  check.accepted = options_.accepted_keys.get();
  check.alias = options_.host_key_alias;
  check.hash = options_.hash_known_hosts;
  check.policy = options_.host_key_policy;
  check.prompter = options_.prompter;
  check.cancelled = &cancelled_;
  check.asking = questions_.waiting_flag();
  return check;
}

Result<bool> UserLogin::authenticate(_LIBSSH2_SESSION* session) {
  return authenticator_.step(session);
}

void UserLogin::cancel() {
  cancelled_.set();
}

}  // namespace tunproxy::ssh
