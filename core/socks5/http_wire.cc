#include "core/socks5/http_wire.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <iterator>

namespace tunproxy::socks5 {
namespace {

constexpr std::string_view kAuthorization = "proxy-authorization";

Error malformed(std::string_view what) {
  return {ErrorCode::protocol, fmt::format("an HTTP request with {}", what)};
}

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool same_ignoring_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return lower(x) == lower(y); });
}

std::string_view trim(std::string_view text) {
  const auto is_space = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

// The next line without its end, which RFC 9112 §2.2 allows to be a bare LF; nullopt if it has
// none.
std::optional<std::string_view> take_line(std::string_view& text) {
  const size_t end = text.find('\n');
  if (end == std::string_view::npos) return std::nullopt;
  std::string_view line = text.substr(0, end);
  text.remove_prefix(end + 1);
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  return line;
}

bool has_control(std::string_view line) {
  return std::any_of(line.begin(), line.end(), [](char c) {
    return (static_cast<unsigned char>(c) < ' ' && c != '\t') || c == '\x7f';
  });
}

Result<void> read_request_line(std::string_view line, HttpRequest& request) {
  const size_t first = line.find(' ');
  const size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == 0 || last <= first + 1) {
    return malformed("a bad first line");
  }
  request.method = line.substr(0, first);
  request.target = line.substr(first + 1, last - first - 1);
  const std::string_view version = line.substr(last + 1);
  if (version != "HTTP/1.1" && version != "HTTP/1.0") return malformed("an unknown version");
  if (request.target.find(' ') != std::string::npos) return malformed("a bad first line");
  return {};
}

Result<void> read_field(std::string_view line, HttpRequest& request) {
  const size_t colon = line.find(':');
  const std::string_view name = line.substr(0, colon);
  // A space before the colon, or a line that continues another, could hide a field (RFC 9112 §5).
  if (colon == std::string_view::npos || name.empty() ||
      name.find_first_of(" \t") != std::string_view::npos) {
    return malformed("a bad field");
  }
  if (!same_ignoring_case(name, kAuthorization)) return {};
  if (!request.authorization.empty()) return malformed("two authorizations");
  request.authorization = trim(line.substr(colon + 1));
  return {};
}

std::optional<std::string> decode_base64(std::string_view text) {
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const size_t digits = std::min(text.find_first_not_of(kAlphabet), text.size());
  const size_t padding = text.size() - digits;
  if (text.empty() || text.size() % 4 != 0 || padding > 2 ||
      text.find_first_not_of('=', digits) != std::string_view::npos) {
    return std::nullopt;
  }
  std::string decoded(text.size() / 4 * 3, '\0');
  const int length = ::EVP_DecodeBlock(reinterpret_cast<unsigned char*>(decoded.data()),
                                       reinterpret_cast<const unsigned char*>(text.data()),
                                       static_cast<int>(text.size()));
  if (length < 0) return std::nullopt;
  decoded.resize(static_cast<size_t>(length) - padding);
  return decoded;
}

std::string_view reason_phrase(int status) {
  switch (status) {
    case 400:
      return "Bad Request";
    case 403:
      return "Forbidden";
    case 407:
      return "Proxy Authentication Required";
    case 431:
      return "Request Header Fields Too Large";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    default:
      return "Bad Gateway";
  }
}

}  // namespace

Result<Target> HttpRequest::authority() const {
  Result<Target> parsed = Target::parse(target);
  if (!parsed) return malformed("a target that is not HOST:PORT");
  return parsed;
}

std::optional<Credentials> HttpRequest::basic() const {
  const size_t space = authorization.find(' ');
  const std::string_view all = authorization;
  if (space == std::string::npos || !same_ignoring_case(all.substr(0, space), "basic")) {
    return std::nullopt;
  }
  const std::optional<std::string> decoded = decode_base64(trim(all.substr(space)));
  if (!decoded) return std::nullopt;
  const size_t colon = decoded->find(':');
  if (colon == std::string::npos) return std::nullopt;
  Credentials credentials{decoded->substr(0, colon), decoded->substr(colon + 1)};
  if (!credentials.check()) return std::nullopt;
  return credentials;
}

Result<std::optional<HttpRequest>> decode_http_request(Bytes& input) {
  const std::string_view all = as_text(input.first(std::min(input.size(), kMaxHttpHead)));
  std::string_view rest = all;
  HttpRequest request;
  bool is_first = true;
  while (const auto line = take_line(rest)) {
    if (line->empty() && !is_first) {
      input = input.subspan(all.size() - rest.size());
      return std::optional<HttpRequest>(std::move(request));
    }
    if (has_control(*line)) return malformed("control characters");
    const Result<void> read =
        is_first ? read_request_line(*line, request) : read_field(*line, request);
    if (!read) return read.error();
    is_first = false;
  }
  if (all.size() == kMaxHttpHead) {
    return Error{ErrorCode::limit, "an HTTP request whose head is too long"};
  }
  return std::optional<HttpRequest>();
}

void append_http_success(ByteVector& to) {
  append(to, as_bytes("HTTP/1.1 200 Connection established\r\n\r\n"));
}

void append_http_refusal(int status, std::string_view text, ByteVector& to) {
  std::string head = fmt::format("HTTP/1.1 {} {}\r\n", status, reason_phrase(status));
  if (status == 407) head += "Proxy-Authenticate: Basic realm=\"tunproxy\", charset=\"UTF-8\"\r\n";
  const std::string body = fmt::format("tunproxy: {}.\n", text);
  head += fmt::format(
      "Content-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\n"
      "Cache-Control: no-store\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
      body.size());
  append(to, as_bytes(head));
  append(to, as_bytes(body));
}

}  // namespace tunproxy::socks5
