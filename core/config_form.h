// Form: how a kind of value is written: text → value and back. What print() gives, parse() takes.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/result.h"
#include "core/config.h"

namespace tunproxy {

/// What a value is in a file.
enum class ValueKind : uint8_t { text, number, flag };

template <typename T>
struct Form {
  ValueKind kind = ValueKind::text;
  std::function<Result<T>(std::string_view)> parse;  ///< errors name the text, not the key
  std::function<std::string(const T&)> print;        ///< empty: nothing to say
};

/// Any text but the empty one, and no control characters.
Form<std::string> text_form();
/// As text; "~/" at the start is the home directory.
Form<std::string> path_form();
Form<Secret> secret_form();  ///< printed as nothing
/// The same of a private key, as far as can be seen without its passphrase.
Form<Secret> private_key_form();
Form<bool> flag_form();  ///< "true", "false"
Form<unsigned> number_form(unsigned smallest, unsigned largest);
Form<uint16_t> short_form(uint16_t smallest, uint16_t largest);
/// "HOST[:PORT]"; the port may be left out if `default_port` is not 0.
Form<Target> target_form(uint16_t default_port);
Form<Endpoint> endpoint_form();
Form<Cidr> cidr_form();
Form<Names> names_form();
Form<SshServer> ssh_server_form();
Form<SshConfigUse> ssh_config_form();  ///< "auto", "none" or a file
Form<ssh::HostKeyPolicy> host_key_policy_form();
Form<ViaProxy> via_form();            ///< "http|https|socks5://[user@]host[:port]"
Form<SocksUser> socks_user_form();    ///< "NAME:FILE"
Form<std::string> known_host_form();  ///< a line of a known_hosts file
/// OpenSSH's names, with commas between and no patterns.
Form<std::string> algorithms_form();

/// One of some words.
template <typename T>
Form<T> word_form(std::vector<std::pair<std::string_view, T>> words) {
  std::string list;
  for (const auto& [word, value] : words) list.append(list.empty() ? "" : ", ").append(word);
  Form<T> form;
  form.parse = [words, list](std::string_view text) -> Result<T> {
    for (const auto& [word, value] : words) {
      if (word == text) return value;
    }
    return Error{ErrorCode::usage, "'" + std::string(text) + "' is none of " + list};
  };
  form.print = [words](const T& wanted) {
    for (const auto& [word, value] : words) {
      if (value == wanted) return std::string(word);
    }
    return std::string();
  };
  return form;
}

}  // namespace tunproxy
