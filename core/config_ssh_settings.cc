// The schema's keys of SSH.
#include <fmt/format.h>

#include "core/config_entry.h"

namespace tunproxy {
namespace {

constexpr unsigned kMostSessions = 64;
constexpr unsigned kLongestKeepalive = 3600;

// "A,B", or "none"; each text adds to what is there.
Setting jump_setting() {
  Setting setting{"jump", "[USER@]HOST[:PORT],…",
                  "Go through these SSH servers, in this order; none: not even where ssh_config "
                  "says so (repeatable)"};
  setting.list = true;
  setting.set = [](Config& config, std::string_view text) -> Result<void> {
    std::vector<SshServer> hosts;
    for (size_t begin = 0; text != "none" && begin <= text.size();) {
      const size_t comma = std::min(text.find(',', begin), text.size());
      auto host = parse_ssh_server(text.substr(begin, comma - begin));
      if (!host) return host.error();
      hosts.push_back(std::move(*host));
      begin = comma + 1;
    }
    auto& jump = config.ssh.jump;
    if (!jump) jump.emplace();
    jump->insert(jump->end(), hosts.begin(), hosts.end());
    return {};
  };
  setting.reset = [](Config& config) { config.ssh.jump.reset(); };
  setting.get = [](const Config& config) -> std::vector<std::string> {
    if (!config.ssh.jump) return {};
    std::vector<std::string> hosts;
    for (const SshServer& host : *config.ssh.jump) hosts.push_back(ssh_server_form().print(host));
    if (hosts.empty()) return {"none"};
    return hosts;
  };
  return setting;
}

// "none" is an empty command.
Form<std::string> proxy_command_form() {
  Form<std::string> form = text_form();
  form.parse = [parse = form.parse](std::string_view text) {
    return text == "none" ? Result<std::string>(std::string()) : parse(text);
  };
  form.print = [](const std::string& command) { return command.empty() ? "none" : command; };
  return form;
}

}  // namespace

std::vector<Setting> ssh_way_settings() {
  return {
      one({"port", "N", "Port of the SSH server (default: 22)"}, TUNPROXY_FIELD(ssh.port),
          short_form(1, 65535)),
      one({"ssh-config", "WHICH",
           "OpenSSH's configuration to take hosts, aliases, keys and so on from: auto (the user's, "
           "where ssh is installed), none, or a FILE"},
          TUNPROXY_FIELD(ssh.config), ssh_config_form()),
      rival_of("proxy-command", jump_setting()),
      rival_of("jump", one({"proxy-command", "COMMAND",
                            "Reach the SSH server by this command's input and output (%h %p %r); "
                            "none: not even where ssh_config says so"},
                           TUNPROXY_FIELD(ssh.proxy_command), proxy_command_form())),
      one({"via", "URL",
           "Reach the first SSH server through this proxy: http://, https:// or socks5://, "
           "[USER@]HOST[:PORT]"},
          TUNPROXY_FIELD(ssh.via), via_form()),
      one({"via-password-file", "FILE", "Its first line is the password for that proxy"},
          TUNPROXY_FIELD(ssh.via_password.file), path_form()),
      secret(one({"via-password", "TEXT", "The password for that proxy"},
                 TUNPROXY_FIELD(ssh.via_password.text), secret_form())),
      one({"sessions", "N",
           "SSH connections at the same time, at most (default: 4; 2 with --profile mobile)"},
          TUNPROXY_FIELD(ssh.sessions), number_form(1, kMostSessions)),
      one({"keepalive", "SECONDS",
           "Probe a silent server this often; after three it is given up; 0: never (default: what "
           "ssh_config says, else 5)"},
          TUNPROXY_FIELD(ssh.keepalive), number_form(0, kLongestKeepalive)),
  };
}

std::vector<Setting> ssh_login_settings() {
  return {
      many({"identity", "FILE",
            "Private key (repeatable; default: the agent's keys and ~/.ssh/id_*)"},
           TUNPROXY_FIELD(ssh.login.identities), path_form()),
      many({"certificate", "FILE",
            "Certificate for a key, besides its own FILE-cert.pub (repeatable)"},
           TUNPROXY_FIELD(ssh.login.certificates), path_form()),
      one({"identities-only", "", "Use no keys of the agent but those of --identity"},
          TUNPROXY_FIELD(ssh.login.identities_only), flag_form()),
      one({"identity-agent", "SOCKET",
           "The agent's socket, or none (default: the one at SSH_AUTH_SOCK)"},
          TUNPROXY_FIELD(ssh.login.identity_agent), path_form()),
      one({"preferred-authentications", "METHODS",
           "The methods to try and their order (default: "
           "publickey,keyboard-interactive,password)"},
          TUNPROXY_FIELD(ssh.login.methods), algorithms_form()),
      one({"ssh-password-file", "FILE", "Its first line is the account's password"},
          TUNPROXY_FIELD(ssh.password_file), path_form()),
  };
}

std::vector<Setting> ssh_secret_settings() {
  return {
      secret(one({"ssh-password", "TEXT", "The account's password"},
                 TUNPROXY_FIELD(ssh.login.password), secret_form())),
      secret(many({"private-key", "TEXT", "A private key itself, as in a key file"},
                  TUNPROXY_FIELD(ssh.login.keys), private_key_form())),
      secret(one({"passphrase", "TEXT", "The passphrase of the private keys"},
                 TUNPROXY_FIELD(ssh.login.passphrase), secret_form())),
  };
}

std::vector<Setting> host_key_settings() {
  return {
      one({"host-key-policy", "POLICY",
           "Unknown host keys: strict, ask or accept-new (default: ask on a terminal, else "
           "strict)"},
          TUNPROXY_FIELD(ssh.login.host_keys), host_key_policy_form()),
      many({"known-hosts", "FILE",
            "File of known host keys, beside the system's (repeatable; default: "
            "~/.ssh/known_hosts and known_hosts2)"},
           TUNPROXY_FIELD(ssh.login.known_hosts), path_form()),
      many({"system-known-hosts", "FILE",
            "The same, but no key is ever added (repeatable; default: "
            "/etc/ssh/ssh_known_hosts and ssh_known_hosts2; none: no such file)"},
           TUNPROXY_FIELD(ssh.login.system_known_hosts), path_form()),
      many({"known-host", "LINE", "A known host key itself, as a line of such a file (repeatable)"},
           TUNPROXY_FIELD(ssh.login.known_host_lines), known_host_form()),
      one({"hash-known-hosts", "", "Add new hosts with hashed names"},
          TUNPROXY_FIELD(ssh.login.hash_known_hosts), flag_form()),
      one({"host-key-alias", "NAME", "Search the server's key under this name"},
          TUNPROXY_FIELD(ssh.login.host_key_alias), text_form()),
  };
}

std::vector<Setting> algorithm_settings() {
  return {
      one({"ciphers", "LIST", "Ciphers, best first"}, TUNPROXY_FIELD(ssh.login.algorithms.ciphers),
          algorithms_form()),
      one({"macs", "LIST", "Message authentication codes"},
          TUNPROXY_FIELD(ssh.login.algorithms.macs), algorithms_form()),
      one({"kex", "LIST", "Key exchanges"}, TUNPROXY_FIELD(ssh.login.algorithms.key_exchanges),
          algorithms_form()),
      one({"host-key-algorithms", "LIST", "Signatures of the server"},
          TUNPROXY_FIELD(ssh.login.algorithms.host_keys), algorithms_form()),
      one({"public-key-algorithms", "LIST", "Signatures of the user"},
          TUNPROXY_FIELD(ssh.login.algorithms.public_keys), algorithms_form()),
  };
}

}  // namespace tunproxy
