#include "core/ssh/openssh_output.h"

#include <fmt/core.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>

namespace tunproxy::ssh {
namespace {

constexpr size_t kMaxLines = 4096;
constexpr const char* kNoFile = "/dev/null/none";  // of which there is none
constexpr unsigned kLongestKeepalive = 3600;

Error wrong(std::string message) {
  return {ErrorCode::usage, std::move(message)};
}

// Options that change who may be trusted or how the server is reached.
constexpr std::pair<std::string_view, std::string_view> kNotHonoured[] = {
    {"addressfamily", "AddressFamily"},
    {"batchmode", "BatchMode"},
    {"bindaddress", "BindAddress"},
    {"bindinterface", "BindInterface"},
    {"casignaturealgorithms", "CASignatureAlgorithms"},
    {"compression", "Compression"},
    {"connecttimeout", "ConnectTimeout"},
    {"hostbasedauthentication", "HostbasedAuthentication"},
    {"knownhostscommand", "KnownHostsCommand"},
    {"nohostauthenticationforlocalhost", "NoHostAuthenticationForLocalhost"},
    {"pkcs11provider", "PKCS11Provider"},
    {"proxyusefdpass", "ProxyUseFdpass"},
    {"rekeylimit", "RekeyLimit"},
    {"requiredrsasize", "RequiredRSASize"},
    {"revokedhostkeys", "RevokedHostKeys"},
    {"securitykeyprovider", "SecurityKeyProvider"},
    {"serveralivecountmax", "ServerAliveCountMax"},
    {"verifyhostkeydns", "VerifyHostKeyDNS"},
};

class Interpreter {
 public:
  Interpreter(const OpensshOptions& options, const OpensshOptions& defaults,
              const std::string& asked, const OpensshUser& user)
      : options_(options), defaults_(defaults), asked_(asked), user_(user) {}

  Result<OpensshConfig> run() {
    for (const auto step : {&Interpreter::refusal, &Interpreter::place, &Interpreter::keys,
                            &Interpreter::host_keys}) {
      if (auto done = (this->*step)(); !done) return done.error();
    }
    agent_and_methods();
    algorithms();
    way();
    ignored();
    return std::move(config_);
  }

 private:
  const std::vector<std::string>* values(std::string_view option) const {
    const auto found = options_.find(option);
    return found == options_.end() ? nullptr : &found->second;
  }
  // The user's wish, if there is one.
  const std::vector<std::string>* wishes(std::string_view option) const {
    const auto* wanted = values(option);
    const auto usual = defaults_.find(option);
    const bool same = wanted != nullptr && usual != defaults_.end() && usual->second == *wanted;
    return same ? nullptr : wanted;
  }
  std::string value(std::string_view option) const {
    const auto* all = values(option);
    return all == nullptr ? "" : all->front();
  }
  std::string wish(std::string_view option) const {
    const auto* all = wishes(option);
    return all == nullptr ? "" : all->front();
  }
  std::optional<unsigned> number_wish(std::string_view option) const {
    const std::string text = wish(option);
    unsigned number = 0;
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (text.empty() || problem != std::errc() || *end != '\0') return std::nullopt;
    return number;
  }

  Result<void> refusal() {
    const auto* reason = values("refuseconnection");
    if (reason == nullptr) return {};
    return wrong(fmt::format("ssh_config refuses connections to {}: {}", asked_, reason->front()));
  }

  Result<void> place() {
    const std::string host = value("hostname");
    auto port = parse_port(value("port"));
    if (!port || !Target::valid_name(host) || host.front() == '-') {
      return wrong(fmt::format("ssh -G names no server for {}", asked_));
    }
    config_.server = Target::from_host(host, *port);
    config_.user = value("user");
    return {};
  }

  Result<void> keys() {
    HostSettings& login = config_.login;
    if (const auto* files = wishes("identityfile")) {
      if (auto done = files_of("IdentityFile", *files, login.usual_identities); !done) return done;
    }
    if (const auto* files = wishes("certificatefile")) {
      if (auto done = files_of("CertificateFile", *files, login.certificates); !done) return done;
    }
    if (wish("identitiesonly") == "yes") login.identities_only = true;
    return {};
  }

  Result<void> files_of(std::string_view option, const std::vector<std::string>& texts,
                        std::vector<std::string>& to) {
    for (const std::string& text : texts) {
      auto path = text == "none" ? Result<std::string>(kNoFile) : expand(option, text);
      if (!path) return path.error();
      to.push_back(std::move(*path));
    }
    return {};
  }

  Result<void> host_keys() {
    HostSettings& login = config_.login;
    login.host_key_alias = value("hostkeyalias");
    login.known_hosts = known_hosts_files(wish("userknownhostsfile"));
    login.system_known_hosts = known_hosts_files(wish("globalknownhostsfile"));
    if (wish("hashknownhosts") == "yes") login.hash_known_hosts = true;
    const std::string policy = wish("stricthostkeychecking");
    if (policy == "true" || policy == "yes") login.host_keys = HostKeyPolicy::strict;
    if (policy == "accept-new") login.host_keys = HostKeyPolicy::accept_new;
    if (policy == "false" || policy == "no" || policy == "off") {
      config_.ignored.push_back("StrictHostKeyChecking no");
    }
    return {};
  }

  // Several on one line, without quotes though a name may have spaces: names that exist are kept
  // together. ssh has expanded tildes and tokens.
  static std::vector<std::string> known_hosts_files(const std::string& line) {
    if (line == "none") return {kNoFile};
    std::vector<std::string> files;
    for (size_t begin = 0; begin < line.size();) {
      size_t end = std::min(line.find(' ', begin), line.size());
      const size_t word_end = end;
      while (end < line.size() && ::access(line.substr(begin, end - begin).c_str(), F_OK) != 0) {
        end = std::min(line.find(' ', end + 1), line.size());
      }
      if (::access(line.substr(begin, end - begin).c_str(), F_OK) != 0) end = word_end;
      if (end > begin) files.push_back(line.substr(begin, end - begin));
      begin = end + 1;
    }
    return files;
  }

  void agent_and_methods() {
    HostSettings& login = config_.login;
    login.identity_agent = wish("identityagent");
    if (const auto prompts = number_wish("numberofpasswordprompts")) {
      login.password_prompts = prompts;
    }
    const std::pair<std::string_view, std::string_view> methods[] = {
        {"publickey", "pubkeyauthentication"},
        {"keyboard-interactive", "kbdinteractiveauthentication"},
        {"password", "passwordauthentication"}};
    login.methods = wish("preferredauthentications");
    bool some_off = false;
    for (const auto& [method, option] : methods) {
      const std::string answer = wish(option);
      some_off = some_off || answer == "no" || answer == "false";
    }
    if (!some_off) return;
    if (login.methods.empty()) login.methods = "publickey,keyboard-interactive,password";
    for (const auto& [method, option] : methods) {
      const std::string answer = wish(option);
      if (answer == "no" || answer == "false") leave_out(login.methods, method);
    }
    if (login.methods.empty()) login.methods = "none";
  }

  static void leave_out(std::string& list, std::string_view name) {
    std::string rest;
    for (size_t begin = 0; begin < list.size();) {
      const size_t end = std::min(list.find(',', begin), list.size());
      const std::string word = list.substr(begin, end - begin);
      if (word != name) rest += (rest.empty() ? "" : ",") + word;
      begin = end + 1;
    }
    list = rest;
  }

  void algorithms() {
    Algorithms& algorithms = config_.login.algorithms;
    algorithms.ciphers = wish("ciphers");
    algorithms.macs = wish("macs");
    algorithms.key_exchanges = wish("kexalgorithms");
    algorithms.host_keys = wish("hostkeyalgorithms");
    algorithms.public_keys = wish("pubkeyacceptedalgorithms");
    if (algorithms.public_keys.empty()) {  // its name before OpenSSH 8.5
      algorithms.public_keys = wish("pubkeyacceptedkeytypes");
    }
  }

  void way() {
    const auto some = [](std::string text) { return text == "none" ? std::string() : text; };
    config_.proxy_jump = some(value("proxyjump"));
    config_.proxy_command = some(value("proxycommand"));
    const auto interval = number_wish("serveraliveinterval");
    if (interval && *interval > 0) config_.keepalive = std::min(*interval, kLongestKeepalive);
  }

  void ignored() {
    for (const auto& [option, name] : kNotHonoured) {
      if (const auto* wanted = wishes(option)) {
        config_.ignored.push_back(fmt::format("{} {}", name, fmt::join(*wanted, " ")));
      }
    }
  }

  // A path with "~", "%" tokens and "${VARIABLE}", as ssh_config(5), TOKENS.
  Result<std::string> expand(std::string_view option, std::string_view text) const {
    std::string out;
    if (text == "~" || text.starts_with("~/")) {
      out = user_.home;
      text.remove_prefix(1);
    }
    for (; !text.empty(); text.remove_prefix(1)) {
      if (text.starts_with("${") && text.find('}') != std::string_view::npos) {
        const std::string name(text.substr(2, text.find('}') - 2));
        const char* variable = std::getenv(name.c_str());
        if (variable == nullptr) return wrong(fmt::format("{}: {} is not set", option, name));
        out += variable;
        text.remove_prefix(text.find('}'));
      } else if (text.front() != '%') {
        out += text.front();
      } else {
        text.remove_prefix(1);
        const auto token = text.empty() ? std::nullopt : token_of(text.front());
        if (!token) {
          return wrong(fmt::format("{} of ssh_config has a token that is not supported: %{}",
                                   option, text.substr(0, 1)));
        }
        out += *token;
      }
    }
    return out;
  }

  std::optional<std::string> token_of(char letter) const {
    switch (letter) {
      case '%':
        return "%";
      case 'd':
        return user_.home;
      case 'h':
        return config_.server.host();
      case 'i':
        return std::to_string(user_.id);
      case 'k':
        return value("hostkeyalias").empty() ? config_.server.host() : value("hostkeyalias");
      case 'L':
        return user_.machine.substr(0, user_.machine.find('.'));
      case 'l':
        return user_.machine;
      case 'n':
        return asked_;
      case 'p':
        return std::to_string(config_.server.port());
      case 'r':
        return config_.user;
      case 'u':
        return user_.name;
      default:
        return std::nullopt;
    }
  }

  const OpensshOptions& options_;
  const OpensshOptions& defaults_;
  const std::string& asked_;
  const OpensshUser& user_;
  OpensshConfig config_;
};

bool is_option(std::string_view word) {
  return !word.empty() && std::all_of(word.begin(), word.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  });
}

}  // namespace

Result<OpensshOptions> parse_openssh_output(std::string_view text) {
  OpensshOptions options;
  for (size_t lines = 0; !text.empty(); ++lines) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    const size_t space = line.find(' ');
    if (lines == kMaxLines || line.find('\0') != std::string_view::npos) {
      return wrong("ssh -G printed what is no configuration");
    }
    if (space == std::string_view::npos || space + 1 == line.size()) continue;
    const std::string_view word = line.substr(0, space);
    if (!is_option(word)) return wrong("ssh -G printed what is no configuration");
    std::string option(word);
    std::transform(option.begin(), option.end(), option.begin(), [](char c) {
      return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    options[std::move(option)].emplace_back(line.substr(space + 1));
  }
  return options;
}

Result<OpensshConfig> interpret_openssh(const OpensshOptions& options,
                                        const OpensshOptions& defaults, const std::string& asked,
                                        const OpensshUser& user) {
  return Interpreter(options, defaults, asked, user).run();
}

}  // namespace tunproxy::ssh
