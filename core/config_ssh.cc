#include "core/config_ssh.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/crypto.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "core/base/log.h"
#include "core/base/unique_fd.h"
#include "core/config_form.h"
#include "core/ssh/openssh_config.h"

namespace tunproxy {
namespace {

constexpr size_t kDeepest = 16;  // jumps that have jumps of their own

std::vector<std::string> split(std::string_view list) {
  std::vector<std::string> words;
  while (!list.empty()) {
    const size_t comma = std::min(list.find(','), list.size());
    if (comma > 0) words.emplace_back(list.substr(0, comma));
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return words;
}

// Names of algorithms; ssh -G has resolved the patterns of most versions.
std::vector<std::string> names_of(const std::string& list) {
  std::vector<std::string> names = split(list);
  std::erase_if(names, [](const std::string& name) {
    return name.find_first_of("*?!+^") != std::string::npos || name.front() == '-';
  });
  return names;
}

void prefer(std::string& value, const std::string& other) {
  if (value.empty()) value = other;
}
template <typename T>
void prefer(std::vector<T>& value, const std::vector<T>& other) {
  if (value.empty()) value = std::vector<T>(other);
}
template <typename T>
void prefer(std::optional<T>& value, const std::optional<T>& other) {
  if (!value && other) value.emplace(*other);
}

// `login`, and for what it leaves open `other`.
void merge(ssh::HostSettings& login, const ssh::HostSettings& other) {
  login.usual_identities = other.usual_identities;
  login.certificates.insert(login.certificates.end(), other.certificates.begin(),
                            other.certificates.end());
  prefer(login.identities_only, other.identities_only);
  prefer(login.identity_agent, other.identity_agent);
  prefer(login.methods, other.methods);
  prefer(login.password_prompts, other.password_prompts);
  prefer(login.host_key_alias, other.host_key_alias);
  prefer(login.known_hosts, other.known_hosts);
  prefer(login.system_known_hosts, other.system_known_hosts);
  prefer(login.hash_known_hosts, other.hash_known_hosts);
  prefer(login.host_keys, other.host_keys);
  prefer(login.algorithms.ciphers, other.algorithms.ciphers);
  prefer(login.algorithms.macs, other.algorithms.macs);
  prefer(login.algorithms.key_exchanges, other.algorithms.key_exchanges);
  prefer(login.algorithms.host_keys, other.algorithms.host_keys);
  prefer(login.algorithms.public_keys, other.algorithms.public_keys);
}

class Resolver {
 public:
  Resolver(const SshSettings& settings, const std::string& user)
      : settings_(settings), user_(user) {}

  Result<void> run() {
    SshServer server = *settings_.server;
    if (server.server.port() == 0 && settings_.port) {
      server.server = Target::from_host(server.server.host(), *settings_.port);
    }
    ssh::HostSettings login = settings_.login;
    auto host = resolve(server, std::move(login));
    if (!host) return host.error();
    keepalive = settings_.keepalive ? settings_.keepalive : host->keepalive;
    if (auto done = way_to(*host); !done) return done;
    path.push_back(std::move(host->host));
    return {};
  }

  std::vector<SshHost> path;
  std::optional<unsigned> keepalive;

 private:
  struct Resolved {
    SshHost host;
    std::string proxy_jump, proxy_command;
    std::optional<unsigned> keepalive;
  };

  Result<Resolved> resolve(const SshServer& asked, ssh::HostSettings login) const {
    Resolved resolved;
    SshHost& host = resolved.host;
    host.name = asked.server.host();
    host.login = std::move(login);
    auto config = ask(asked);
    if (!config) return Error{config.error().code, host.name + ": " + config.error().message};
    if (!*config) {
      host.user = asked.user.empty() ? user_ : asked.user;
      const uint16_t port = asked.server.port();
      host.server = Target::from_host(host.name, port == 0 ? Config::kDefaultSshPort : port);
    } else {
      host.user = (*config)->user;
      host.server = (*config)->server;
      merge(host.login, (*config)->login);
      resolved.proxy_jump = (*config)->proxy_jump;
      resolved.proxy_command = (*config)->proxy_command;
      resolved.keepalive = (*config)->keepalive;
      tell_ignored(host.name, (*config)->ignored);
    }
    if (host.user.empty()) {
      return Error{ErrorCode::usage, fmt::format("say who you are: --ssh USER@{}", host.name)};
    }
    return resolved;
  }

  Result<std::optional<ssh::OpensshConfig>> ask(const SshServer& asked) const {
    if (settings_.config.mode == SshConfigUse::Mode::none) {
      return std::optional<ssh::OpensshConfig>();
    }
    ssh::OpensshQuery query;
    query.host = asked.server.host();
    query.user = asked.user;
    query.port = asked.server.port();
    query.file = settings_.config.file;
    auto config = ssh::ask_openssh(query);
    if (config && !*config && settings_.config.mode == SshConfigUse::Mode::file) {
      return Error{ErrorCode::usage, "--ssh-config needs OpenSSH's client: is ssh installed?"};
    }
    return config;
  }

  static void tell_ignored(const std::string& name, const std::vector<std::string>& ignored) {
    if (ignored.empty()) return;
    log::warn("not honoured of what ssh_config says of {}: {}", name, fmt::join(ignored, ", "));
  }

  // The command line says it for the server; for a jump its own ssh_config does.
  Result<void> way_to(Resolved& server) {
    if (settings_.proxy_command) {
      server.host.proxy_command = *settings_.proxy_command;
      return {};
    }
    if (settings_.jump) return jump_over(*settings_.jump);
    return own_way_to(server);
  }

  Result<void> own_way_to(Resolved& host) {
    if (host.proxy_jump.empty()) {
      if (!settings_.via) host.host.proxy_command = host.proxy_command;
      return {};
    }
    std::vector<SshServer> jumps;
    for (std::string word : split(host.proxy_jump)) {
      if (word.starts_with("ssh://")) word.erase(0, 6);
      auto jump = parse_ssh_server(word);
      if (!jump) return Error{ErrorCode::usage, "ProxyJump of ssh_config: " + jump.error().message};
      jumps.push_back(std::move(*jump));
    }
    return jump_over(jumps);
  }

  // The first one may have jumps of its own; the others are reached through the one before.
  Result<void> jump_over(const std::vector<SshServer>& jumps) {
    if (++depth_ > kDeepest) {
      return Error{ErrorCode::usage,
                   fmt::format("more than {} ProxyJumps that lead to one another: is there a "
                               "loop in ssh_config?",
                               kDeepest)};
    }
    for (size_t i = 0; i < jumps.size(); ++i) {
      auto jump = resolve(jumps[i], login_at_jumps());
      if (!jump) return jump.error();
      if (i == 0) {
        if (auto done = own_way_to(*jump); !done) return done;
      }
      path.push_back(std::move(jump->host));
    }
    return {};
  }

  // The password and the name of the key are the server's alone.
  ssh::HostSettings login_at_jumps() const {
    ssh::HostSettings login = settings_.login;
    login.password.reset();
    login.host_key_alias.clear();
    return login;
  }

  const SshSettings& settings_;
  const std::string& user_;
  size_t depth_ = 0;  // of ProxyJumps that lead to one another
};

std::vector<ssh::MemoryKey> memory_keys(const ssh::HostSettings& login) {
  std::vector<ssh::MemoryKey> keys;
  for (const Secret& text : login.keys) {
    keys.push_back({fmt::format("private key {}", keys.size() + 1), text, login.passphrase, {}});
  }
  return keys;
}

}  // namespace

Result<void> resolve_ssh(Config& config, const std::string& user) {
  if (!config.ssh.server) return {};
  Resolver resolver(config.ssh, user);
  if (auto done = resolver.run(); !done) return done;
  if (!config.ssh.password_file.empty()) {
    auto password = read_password({std::nullopt, config.ssh.password_file});
    if (!password) return password.error();
    resolver.path.back().login.password.emplace(**password);
  }
  config.ssh.path = std::move(resolver.path);
  config.ssh.keepalive = resolver.keepalive.value_or(Config::kDefaultKeepalive);
  return {};
}

ssh::UserLoginOptions login_options(const SshHost& host) {
  const ssh::HostSettings& login = host.login;
  ssh::UserLoginOptions options;
  options.host = host.server.host();
  options.port = host.server.port();
  options.user = host.user;
  options.identity_files = login.identities;
  options.usual_identity_files = login.usual_identities;
  options.certificate_files = login.certificates;
  options.keys = memory_keys(login);
  options.identities_only = login.identities_only.value_or(false);
  options.agent_socket = login.identity_agent;
  options.key_algorithms = names_of(login.algorithms.public_keys);
  if (login.password) options.password.emplace(*login.password);
  if (login.password_prompts) options.password_prompts = static_cast<int>(*login.password_prompts);
  options.preferred_methods = split(login.methods);
  options.known_hosts_files = login.known_hosts;
  if (!login.system_known_hosts.empty()) {
    options.system_known_hosts_files = login.system_known_hosts;
  }
  options.known_hosts_lines = login.known_host_lines;
  options.host_key_alias = login.host_key_alias;
  options.host_key_algorithms = names_of(login.algorithms.host_keys);
  options.hash_known_hosts = login.hash_known_hosts.value_or(false);
  if (login.host_keys) options.host_key_policy = *login.host_keys;
  return options;
}

Result<std::optional<Secret>> read_password(const Password& password) {
  if (password.text) return std::optional<Secret>(*password.text);
  const std::string& file = password.file;
  if (file.empty()) return std::optional<Secret>();
  const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return Error{ErrorCode::usage, error_from_errno(errno, file).message};
  struct stat status {};
  if (::fstat(fd.get(), &status) == 0 && (status.st_mode & 077) != 0) {
    log::warn("{} holds a password and others can read it: chmod 600 {}", file, file);
  }
  char buffer[1024];
  const ssize_t got = ::read(fd.get(), buffer, sizeof buffer);
  if (got < 0) return Error{ErrorCode::usage, error_from_errno(errno, file).message};
  const std::string_view text(buffer, static_cast<size_t>(got));
  const std::string_view line = text.substr(0, text.find_first_of("\r\n"));
  std::optional<Secret> secret(std::in_place, line);
  OPENSSL_cleanse(buffer, sizeof buffer);
  if (secret->size() == 0)
    return Error{ErrorCode::usage, file + " has no password in its first line"};
  return secret;
}

}  // namespace tunproxy
