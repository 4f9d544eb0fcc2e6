// The way to the SSH server for people: what --print-config adds in comments.
#include <fmt/format.h>

#include "core/config_form.h"
#include "core/config_ssh.h"
#include "core/ssh/algorithms.h"

namespace tunproxy {
namespace {

// A line each, with the names of the configuration's keys.
class Description {
 public:
  void add(std::string_view what, const std::string& text) {
    if (!text.empty()) text_ += fmt::format("#   {}: {}\n", what, text);
  }
  void add(std::string_view what, const std::vector<std::string>& list) {
    add(what, fmt::format("{}", fmt::join(list, " ")));
  }
  void add(std::string_view what, const std::string& text, const char* otherwise) {
    add(what, text.empty() ? otherwise : text);
  }
  void add(std::string_view what, const std::vector<std::string>& list, const char* otherwise) {
    add(what, fmt::format("{}", fmt::join(list, " ")), otherwise);
  }
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

std::string secrets(const ssh::HostSettings& login) {
  std::vector<std::string> given;
  if (!login.keys.empty()) given.push_back(fmt::format("{} private keys", login.keys.size()));
  if (login.passphrase) given.emplace_back("their passphrase");
  if (login.password) given.emplace_back("a password");
  return fmt::format("{}", fmt::join(given, ", "));
}

void add_login(Description& text, const ssh::HostSettings& login) {
  text.add("secrets that are not shown", secrets(login));
  text.add("identity", login.identities);
  const bool named = !login.identities.empty() || !login.keys.empty();
  text.add("identity of ssh_config, if it exists", login.usual_identities,
           named ? "" : "the usual ones in ~/.ssh");
  text.add("certificate", login.certificates);
  text.add("identities-only", flag_form().print(login.identities_only.value_or(false)));
  text.add("identity-agent", login.identity_agent, "SSH_AUTH_SOCK");
  text.add("preferred-authentications", login.methods, "publickey,keyboard-interactive,password");
  text.add("questions for a password", std::to_string(login.password_prompts.value_or(3)));
}

void add_host_keys(Description& text, const ssh::HostSettings& login) {
  text.add("host-key-policy", login.host_keys ? host_key_policy_form().print(*login.host_keys)
                                              : "ask on a terminal, else strict");
  text.add("known-hosts", login.known_hosts, "~/.ssh/known_hosts ~/.ssh/known_hosts2");
  text.add("system-known-hosts", login.system_known_hosts,
           "/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2");
  for (const std::string& line : login.known_host_lines) text.add("known-host", line);
  text.add("hash-known-hosts",
           login.hash_known_hosts.value_or(false) ? "true" : "as the file has it");
  text.add("host-key-alias", login.host_key_alias);
}

void add_algorithms(Description& text, const ssh::Algorithms& wanted) {
  const ssh::Algorithms offered = ssh::with_defaults(wanted);
  text.add("ciphers", offered.ciphers);
  text.add("macs", offered.macs);
  text.add("kex", offered.key_exchanges);
  text.add("host-key-algorithms", offered.host_keys, "all, those of known keys first");
  text.add("public-key-algorithms", offered.public_keys, "all");
}

}  // namespace

std::string describe_path(const Config& config) {
  std::string text;
  for (const SshHost& host : config.ssh.path) {
    const bool last = &host == &config.ssh.path.back();
    text += fmt::format("# {} {}@{}\n", last ? "SSH server" : "jump", host.user,
                        host.server.to_string());
    Description of_host;
    of_host.add("proxy-command", host.proxy_command);
    add_login(of_host, host.login);
    add_host_keys(of_host, host.login);
    add_algorithms(of_host, host.login.algorithms);
    text += of_host.take();
  }
  if (text.empty()) return text;
  return fmt::format(
      "\n# As it is reached, with what ssh_config says and the defaults\n{}"
      "# a silent server is probed every {} s\n",
      text, config.ssh.keepalive.value_or(Config::kDefaultKeepalive));
}

}  // namespace tunproxy
