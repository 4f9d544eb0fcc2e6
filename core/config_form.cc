#include "core/config_form.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>

#include "core/base/home.h"
#include "core/ssh/key_file.h"
#include "core/ssh/known_hosts.h"

namespace tunproxy {
namespace {

Error wrong(std::string message) {
  return {ErrorCode::usage, std::move(message)};
}

bool has_control(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) < ' ' || static_cast<unsigned char>(c) == 0x7f;
  });
}

Result<std::string> plain_text(std::string_view text) {
  if (text.empty()) return wrong("it is empty");
  if (has_control(text)) return wrong("it has control characters in it");
  return std::string(text);
}

template <typename T>
Result<T> number(std::string_view text, T smallest, T largest) {
  T value = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (problem != std::errc() || end != text.data() + text.size() || value < smallest ||
      value > largest) {
    return wrong(fmt::format("'{}' is not a number from {} to {}", text, smallest, largest));
  }
  return value;
}

// For types with parse() and to_string() of their own.
template <typename T, typename Parse>
Form<T> form_of(Parse parse) {
  return {ValueKind::text, parse, [](const T& value) { return value.to_string(); }};
}

std::string print_server(const SshServer& server) {
  const std::string at = server.user.empty() ? "" : server.user + "@";
  const Target& target = server.server;
  if (target.port() != 0) return at + target.to_string();
  const bool v6 = !target.is_name() && target.address().is_v6();
  return at + (v6 ? fmt::format("[{}]", target.host()) : target.host());
}

struct ViaScheme {
  std::string_view prefix;
  ViaProxy::Scheme scheme;
  uint16_t port;
};
constexpr ViaScheme kViaSchemes[] = {{"http://", ViaProxy::Scheme::http, 8080},
                                     {"https://", ViaProxy::Scheme::https, 443},
                                     {"socks5://", ViaProxy::Scheme::socks5, 1080}};

Result<ViaProxy> parse_via(std::string_view text) {
  const Error form =
      wrong(fmt::format("'{}' is not http://[USER@]HOST[:PORT], https://… or socks5://…", text));
  const auto* scheme = std::find_if(std::begin(kViaSchemes), std::end(kViaSchemes),
                                    [&](const auto& s) { return text.starts_with(s.prefix); });
  if (scheme == std::end(kViaSchemes)) return form;
  std::string_view rest = text.substr(scheme->prefix.size());
  if (rest.ends_with('/')) rest.remove_suffix(1);
  const size_t at = rest.rfind('@');
  const std::string user(rest.substr(0, at == std::string_view::npos ? 0 : at));
  if (user.find(':') != std::string::npos) {
    return wrong("a password does not belong here, where others see it: use via-password-file");
  }
  if (at == 0) return form;
  if (at != std::string_view::npos) rest.remove_prefix(at + 1);
  auto proxy = Target::parse(rest, scheme->port);
  if (!proxy) return form;
  return ViaProxy{scheme->scheme, user, *proxy};
}

std::string print_via(const ViaProxy& via) {
  const auto* scheme = std::find_if(std::begin(kViaSchemes), std::end(kViaSchemes),
                                    [&](const auto& s) { return s.scheme == via.scheme; });
  return fmt::format("{}{}{}{}", scheme->prefix, via.user, via.user.empty() ? "" : "@",
                     via.proxy.to_string());
}

Result<SocksUser> parse_socks_user(std::string_view text) {
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos || colon == 0 || colon > 255 || colon + 1 == text.size() ||
      has_control(text)) {
    return wrong(fmt::format("'{}' is not NAME:PASSWORD-FILE", text));
  }
  return SocksUser{std::string(text.substr(0, colon)), expand_home(text.substr(colon + 1))};
}

Result<SshConfigUse> parse_ssh_config(std::string_view text) {
  if (text == "auto") return SshConfigUse{};
  if (text == "none") return SshConfigUse{SshConfigUse::Mode::none, {}};
  auto file = path_form().parse(text);
  if (!file) return file.error();
  return SshConfigUse{SshConfigUse::Mode::file, *file};
}

std::string print_ssh_config(const SshConfigUse& use) {
  switch (use.mode) {
    case SshConfigUse::Mode::automatic:
      return "auto";
    case SshConfigUse::Mode::none:
      return "none";
    case SshConfigUse::Mode::file:
      return use.file;
  }
  return {};
}

Result<std::string> parse_algorithms(std::string_view text) {
  const bool clean = std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("-.@_,").find(c) != std::string_view::npos;
  });
  if (text.empty() || !clean || text.front() == '-' || text.front() == ',' || text.back() == ',' ||
      text.find(",,") != std::string_view::npos) {
    return wrong(fmt::format("'{}' is not a list of names with commas between", text));
  }
  return std::string(text);
}

}  // namespace

Form<std::string> text_form() {
  return {ValueKind::text, plain_text, [](const std::string& text) { return text; }};
}

Form<std::string> path_form() {
  Form<std::string> form = text_form();
  form.parse = [](std::string_view text) -> Result<std::string> {
    auto path = plain_text(text);
    if (!path) return path.error();
    return expand_home(*path);
  };
  return form;
}

Form<Secret> secret_form() {
  return {ValueKind::text,
          [](std::string_view text) -> Result<Secret> {
            if (text.empty()) return wrong("it is empty");
            if (text.find('\0') != std::string_view::npos) return wrong("it has a NUL in it");
            return Secret(text);
          },
          [](const Secret&) { return std::string(); }};
}

Form<Secret> private_key_form() {
  Form<Secret> form = secret_form();
  form.parse = [parse = form.parse](std::string_view text) {
    auto secret = parse(text);
    if (!secret) return secret;
    auto key = ssh::KeyFile::from_memory({}, *secret, std::nullopt, {});
    return key ? secret : Result<Secret>(key.error());
  };
  return form;
}

Form<bool> flag_form() {
  return {ValueKind::flag,
          [](std::string_view text) -> Result<bool> {
            if (text == "true") return true;
            if (text == "false") return false;
            return wrong(fmt::format("'{}' is neither true nor false", text));
          },
          [](const bool& flag) { return std::string(flag ? "true" : "false"); }};
}

Form<unsigned> number_form(unsigned smallest, unsigned largest) {
  return {ValueKind::number,
          [=](std::string_view text) { return number<unsigned>(text, smallest, largest); },
          [](const unsigned& value) { return std::to_string(value); }};
}

Form<uint16_t> short_form(uint16_t smallest, uint16_t largest) {
  return {ValueKind::number,
          [=](std::string_view text) { return number<uint16_t>(text, smallest, largest); },
          [](const uint16_t& value) { return std::to_string(value); }};
}

Form<Target> target_form(uint16_t default_port) {
  return form_of<Target>(
      [default_port](std::string_view text) { return Target::parse(text, default_port); });
}

Form<Endpoint> endpoint_form() {
  return form_of<Endpoint>([](std::string_view text) { return Endpoint::parse(text); });
}

Form<Cidr> cidr_form() {
  return form_of<Cidr>(Cidr::parse);
}

Form<Names> names_form() {
  return {ValueKind::text, parse_names, [](const Names& names) -> std::string {
            if (names.fake) return "fake";
            return names.resolver ? names.resolver->to_string() : "server";
          }};
}

Form<SshServer> ssh_server_form() {
  return {ValueKind::text, parse_ssh_server, print_server};
}

Form<SshConfigUse> ssh_config_form() {
  return {ValueKind::text, parse_ssh_config, print_ssh_config};
}

Form<ssh::HostKeyPolicy> host_key_policy_form() {
  return word_form<ssh::HostKeyPolicy>({{"strict", ssh::HostKeyPolicy::strict},
                                        {"ask", ssh::HostKeyPolicy::ask},
                                        {"accept-new", ssh::HostKeyPolicy::accept_new}});
}

Form<ViaProxy> via_form() {
  return {ValueKind::text, parse_via, print_via};
}

Form<SocksUser> socks_user_form() {
  return {ValueKind::text, parse_socks_user,
          [](const SocksUser& user) { return user.name + ":" + user.password_file; }};
}

Form<std::string> known_host_form() {
  Form<std::string> form = text_form();
  form.parse = [](std::string_view text) -> Result<std::string> {
    auto line = plain_text(text);
    if (!line) return line;
    if (auto known = ssh::parse_known_host(*line); !known) {
      return wrong("it is no line of a known_hosts file: " + known.error().message);
    }
    return line;
  };
  return form;
}

Form<std::string> algorithms_form() {
  Form<std::string> form = text_form();
  form.parse = parse_algorithms;
  return form;
}

}  // namespace tunproxy
