#include "core/http/connect_wire.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <string_view>

namespace tunproxy::http {
namespace {

constexpr size_t kLongestCredential = 255;
constexpr size_t kReasonAtMost = 100;
constexpr size_t kMostSchemes = 16;
constexpr std::string_view kVersion = "HTTP/1.";
constexpr std::string_view kAuthenticate = "proxy-authenticate";
constexpr size_t kAroundBasic = 64;  // room for what stands around the credentials
constexpr const char* kNoHttp = "it does not speak HTTP/1.1";

std::string base64(Bytes bytes) {
  static constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve(bytes.size() / 3 * 4 + 4);  // so that growing leaves no copies of a secret
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t here = std::min<size_t>(3, bytes.size() - i);
    uint32_t group = 0;
    for (size_t n = 0; n < 3; ++n) group = group << 8 | (n < here ? bytes[i + n] : 0U);
    for (size_t n = 0; n < 4; ++n) text += n <= here ? kDigits[group >> (18 - 6 * n) & 63] : '=';
  }
  return text;
}

bool printable(std::string_view text) {
  return std::none_of(text.begin(), text.end(),
                      [](unsigned char c) { return c < 0x20 || c == 0x7f; });
}

std::string lower_case(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return lower;
}

std::string_view trim(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

// The next line without its end (CR LF, or LF alone: RFC 9112 §2.2), taken from `text`.
std::optional<std::string_view> take_line(std::string_view& text) {
  const size_t end = text.find('\n');
  if (end == std::string_view::npos) return std::nullopt;
  std::string_view line = text.substr(0, end);
  text.remove_prefix(end + 1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

// "HTTP/1.1 200 Connection established"; the reason may be missing.
Result<ConnectReply> parse_status(std::string_view line) {
  constexpr size_t kDigit = kVersion.size();
  constexpr size_t kCode = kDigit + 2;
  const auto is_digit = [&](size_t at) { return line[at] >= '0' && line[at] <= '9'; };
  const bool well_formed = line.size() >= kCode + 3 && line.starts_with(kVersion) &&
                           is_digit(kDigit) && line[kDigit + 1] == ' ' && is_digit(kCode) &&
                           is_digit(kCode + 1) && is_digit(kCode + 2) &&
                           (line.size() == kCode + 3 || line[kCode + 3] == ' ');
  if (!well_formed) return Error{ErrorCode::protocol, kNoHttp};
  ConnectReply reply;
  for (size_t i = 0; i < 3; ++i) {
    reply.status = reply.status * 10 + static_cast<unsigned>(line[kCode + i] - '0');
  }
  reply.reason = trim(line.substr(kCode + 3)).substr(0, kReasonAtMost);
  std::replace_if(
      reply.reason.begin(), reply.reason.end(),
      [](unsigned char c) { return c < 0x20 || c >= 0x7f; }, '?');
  return reply;
}

// Up to the next comma outside quotes, taken from `list`.
std::string_view take_element(std::string_view& list) {
  bool quoted = false;
  size_t i = 0;
  for (; i < list.size() && (quoted || list[i] != ','); ++i) {
    if (list[i] == '"') quoted = !quoted;
    if (list[i] == '\\' && quoted) ++i;
  }
  i = std::min(i, list.size());
  const std::string_view element = trim(list.substr(0, i));
  list.remove_prefix(std::min(i + 1, list.size()));
  return element;
}

// Challenges and their parameters share one list (RFC 9110 §11.6.1); a parameter has its "=" right
// behind the first word.
void add_schemes(std::string_view value, std::vector<std::string>& schemes) {
  while (!value.empty() && schemes.size() < kMostSchemes) {
    const std::string_view element = take_element(value);
    const size_t end = std::min(element.find_first_of(" \t="), element.size());
    const std::string_view rest = trim(element.substr(end));
    const bool parameter = rest.starts_with('=');
    if (end > 0 && !parameter && printable(element.substr(0, end))) {
      schemes.push_back(lower_case(element.substr(0, end)));
    }
  }
}

void add_field(std::string_view line, ConnectReply& reply) {
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return;
  if (lower_case(trim(line.substr(0, colon))) == kAuthenticate) {
    add_schemes(trim(line.substr(colon + 1)), reply.schemes);
  }
}

// One reply with its header, taken from `text` once it is whole.
Result<std::optional<ConnectReply>> take_reply(std::string_view& text) {
  std::string_view rest = text;
  if (rest.substr(0, kVersion.size()) != kVersion.substr(0, rest.size())) {
    return Error{ErrorCode::protocol, kNoHttp};
  }
  const auto status = take_line(rest);
  if (!status) return std::optional<ConnectReply>();
  auto reply = parse_status(*status);
  if (!reply) return reply.error();
  while (const auto line = take_line(rest)) {
    if (!line->empty()) {
      add_field(*line, *reply);
      continue;
    }
    text = rest;
    return std::optional<ConnectReply>(std::move(*reply));
  }
  return std::optional<ConnectReply>();
}

Error authentication_error(const ConnectReply& reply, bool tried) {
  const auto& schemes = reply.schemes;
  const bool basic = std::find(schemes.begin(), schemes.end(), "basic") != schemes.end();
  if (!basic && !schemes.empty()) {
    return {ErrorCode::authentication_failed,
            fmt::format("the HTTP proxy wants authentication by {}; only Basic is supported",
                        fmt::join(schemes, ", "))};
  }
  return {ErrorCode::authentication_failed,
          tried ? "the HTTP proxy refuses the user and password"
                : "the HTTP proxy asks for a user and password (--via http://USER@HOST:PORT "
                  "and --via-password-file FILE)"};
}

ErrorCode code_for(unsigned status) {
  switch (status) {
    case 403:
      return ErrorCode::not_allowed;
    case 405:
    case 501:
      return ErrorCode::command_not_supported;
    case 408:
    case 504:
      return ErrorCode::timed_out;
    case 404:
    case 410:
    case 500:
    case 502:
    case 503:
      return ErrorCode::host_unreachable;
    default:
      return ErrorCode::general;
  }
}

const char* meaning(unsigned status) {
  switch (code_for(status)) {
    case ErrorCode::not_allowed:
      return "its rules forbid this connection; many allow port 443 alone";
    case ErrorCode::command_not_supported:
      return "it does not allow CONNECT";
    case ErrorCode::timed_out:
      return "the SSH server did not answer it in time";
    case ErrorCode::host_unreachable:
      return "it cannot reach the SSH server";
    default:
      return "it does not make the connection";
  }
}

}  // namespace

Result<void> Credentials::check() const {
  if (user.find(':') != std::string::npos) {
    return Error{ErrorCode::usage, "the user of an HTTP proxy cannot contain a colon"};
  }
  if (!printable(user) || !printable(password.text())) {
    return Error{ErrorCode::usage, "user and password of the proxy contain control characters"};
  }
  if (user.size() > kLongestCredential || password.size() > kLongestCredential) {
    return Error{ErrorCode::usage, "user or password of the proxy is longer than 255 bytes"};
  }
  return {};
}

Secret encode_connect(const Target& target, const std::optional<Credentials>& credentials) {
  const std::string authority = target.to_string();
  std::string request = fmt::format("CONNECT {} HTTP/1.1\r\nHost: {}\r\n", authority, authority);
  if (credentials) {
    std::string pair;
    pair.reserve(credentials->user.size() + 1 + credentials->password.size());
    pair.append(credentials->user).append(":").append(credentials->password.text());
    std::string basic = base64(as_bytes(pair));
    request.reserve(request.size() + basic.size() + kAroundBasic);
    request.append("Proxy-Authorization: Basic ").append(basic).append("\r\n");
    wipe(pair);
    wipe(basic);
  }
  request += "\r\n";
  return Secret::take(request);
}

Result<std::optional<ConnectReply>> decode_connect_reply(Bytes& input) {
  std::string_view text = as_text(input);
  for (;;) {
    auto reply = take_reply(text);
    if (!reply) return reply;
    const size_t used = input.size() - text.size();
    if (used > kMaxHeader || (!*reply && input.size() > kMaxHeader)) {
      return Error{ErrorCode::protocol, "its header is longer than 16 KB"};
    }
    if (*reply && (*reply)->status / 100 == 1) continue;
    if (*reply) input = input.subspan(used);
    return reply;
  }
}

Error error_for(const ConnectReply& reply, bool tried) {
  // 401 is for servers (RFC 9110 §15.5.2), but tinyproxy answers a wrong password with it.
  if (reply.status == 407 || reply.status == 401) return authentication_error(reply, tried);
  return {code_for(reply.status),
          fmt::format("the HTTP proxy answers {}{}{}: {}", reply.status,
                      reply.reason.empty() ? "" : " ", reply.reason, meaning(reply.status))};
}

}  // namespace tunproxy::http
