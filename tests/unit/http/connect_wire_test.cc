#include "core/http/connect_wire.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/secret_search.h"

namespace tunproxy::http {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

struct Decoded {
  ConnectReply reply;
  std::string rest;
};

// What decoding gives; the reply must be whole.
Decoded decode(std::string_view text) {
  Bytes input = as_bytes(text);
  auto reply = decode_connect_reply(input);
  EXPECT_TRUE(reply && *reply) << text;
  if (!reply || !*reply) return {};
  return {**reply, std::string(as_text(input))};
}

TEST(ConnectWire, AsksByNameAndByAddress) {
  EXPECT_EQ(encode_connect(Target::from_host("example.com", 22), std::nullopt).text(),
            "CONNECT example.com:22 HTTP/1.1\r\nHost: example.com:22\r\n\r\n");
  EXPECT_EQ(encode_connect(Target::from_host("2001:db8::1", 443), std::nullopt).text(),
            "CONNECT [2001:db8::1]:443 HTTP/1.1\r\nHost: [2001:db8::1]:443\r\n\r\n");
}

// The examples of RFC 7617 §2 and RFC 4648 §10.
TEST(ConnectWire, SendsBasicCredentials) {
  const auto field = [](const char* user, const char* password) {
    const Credentials credentials{user, Secret(password)};
    return std::string(encode_connect(Target::from_host("h", 1), credentials).text());
  };
  EXPECT_THAT(field("Aladdin", "open sesame"),
              HasSubstr("\r\nProxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n"));
  EXPECT_THAT(field("f", ""), HasSubstr("Basic Zjo=\r\n"));
  EXPECT_THAT(field("fo", ""), HasSubstr("Basic Zm86\r\n"));
  EXPECT_THAT(field("foo", "\xff"), HasSubstr("Basic Zm9vOv8=\r\n"));
}

TEST(ConnectWire, CredentialsAreWipedWithTheRequest) {
  const std::string password = testing::mask("a password of the proxy 318507");
  const std::string encoded = testing::mask("bWU6YSBwYXNzd29yZCBvZiB0aGUgcHJveHkgMzE4NTA3");
  {
    const Credentials credentials{"me", testing::unmask(password)};
    const Secret request = encode_connect(Target::from_host("h", 1), credentials);
    EXPECT_EQ(testing::count_in_memory(password), 1U);
    EXPECT_EQ(testing::count_in_memory(encoded), 1U);
  }
  EXPECT_EQ(testing::count_in_memory(password), 0U);
  EXPECT_EQ(testing::count_in_memory(encoded), 0U);
}

TEST(ConnectWire, CredentialsThatCannotBeSentAreRefused) {
  EXPECT_TRUE((Credentials{"u", Secret("p:q r\xc3\xa9")}).check());
  EXPECT_FALSE((Credentials{"u:v", Secret("p")}).check());
  EXPECT_FALSE((Credentials{"u", Secret("p\r\nX: y")}).check());
  EXPECT_FALSE((Credentials{std::string(256, 'u'), {}}).check());
}

TEST(ConnectWire, TakesNothingBehindTheHeader) {
  const auto decoded = decode("HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\nSSH-2.0-x\r\n");
  EXPECT_TRUE(decoded.reply.succeeded());
  EXPECT_EQ(decoded.reply.reason, "Connection established");
  EXPECT_EQ(decoded.rest, "SSH-2.0-x\r\n");
}

TEST(ConnectWire, WantsMoreAtEachByteButTheLast) {
  const std::string whole = "HTTP/1.0 407 No\r\nProxy-Authenticate: Basic realm=\"x\"\r\n\r\n";
  for (size_t length = 0; length < whole.size(); ++length) {
    Bytes input = as_bytes(std::string_view(whole).substr(0, length));
    const auto reply = decode_connect_reply(input);
    ASSERT_TRUE(reply) << length;
    EXPECT_FALSE(*reply) << length;
    EXPECT_EQ(input.size(), length);
  }
  EXPECT_EQ(decode(whole).reply.status, 407U);
}

TEST(ConnectWire, AcceptsLinesThatEndInLineFeedAloneAndNoReason) {
  EXPECT_EQ(decode("HTTP/1.1 200\n\nx").rest, "x");
  EXPECT_EQ(decode("HTTP/1.1 502 \r\n\r\n").reply.status, 502U);
}

TEST(ConnectWire, SkipsInterimReplies) {
  const auto decoded = decode(
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 ok\r\n\r\n!");
  EXPECT_EQ(decoded.reply.status, 204U);
  EXPECT_EQ(decoded.rest, "!");
}

TEST(ConnectWire, WhatIsNoHttpIsAnErrorAtOnce) {
  for (const char* wrong : {"SSH-2.0-OpenSSH\r\n", "\x15\x03\x01", "HTTP/2 200 ok\r\n\r\n", "\r\n",
                            "HTTP/1.1 20\r\n\r\n", "HTTP/1.1 2000 ok\r\n\r\n",
                            "HTTP/1.x 200 ok\r\n\r\n", "HTTP/1.1  200\r\n\r\n", "<html>"}) {
    Bytes input = as_bytes(wrong);
    const auto reply = decode_connect_reply(input);
    ASSERT_FALSE(reply) << wrong;
    EXPECT_EQ(reply.error().code, ErrorCode::protocol);
  }
}

TEST(ConnectWire, AHeaderHasABound) {
  const std::string start = "HTTP/1.1 200 ok\r\nX: ";
  const auto with_length = [&](size_t length, const char* end) {
    return start + std::string(length - start.size() - std::string(end).size(), 'x') + end;
  };
  EXPECT_EQ(decode(with_length(kMaxHeader, "\r\n\r\n")).reply.status, 200U);
  for (const char* end : {"\r\n\r\n", ""}) {
    const std::string text = with_length(kMaxHeader + 1, end);
    Bytes input = as_bytes(text);
    EXPECT_FALSE(decode_connect_reply(input));
  }
  std::string interim;
  while (interim.size() <= kMaxHeader) interim += "HTTP/1.1 100 Continue\r\n\r\n";
  Bytes input = as_bytes(interim);
  EXPECT_FALSE(decode_connect_reply(input));
}

std::vector<std::string> schemes(const std::string& fields) {
  return decode("HTTP/1.1 407 x\r\n" + fields + "\r\n").reply.schemes;
}

TEST(ConnectWire, FindsTheSchemesAmongTheirParameters) {
  EXPECT_THAT(
      schemes("Proxy-Authenticate: Basic realm=\"a, Digest b\\\", NTLM\", charset=UTF-8\r\n"),
      ElementsAre("basic"));
  EXPECT_THAT(schemes("proxy-authenticate:Negotiate, NTLM,Basic realm = x\r\n"),
              ElementsAre("negotiate", "ntlm", "basic"));
  EXPECT_THAT(
      schemes("Proxy-Authenticate: Negotiate YII==\r\nPROXY-AUTHENTICATE: Digest realm=\"x\","
              " nonce = \"y\"\r\n"),
      ElementsAre("negotiate", "digest"));
  EXPECT_THAT(schemes("WWW-Authenticate: Basic\r\nProxy-Authenticate: , ,\r\nX\r\n"), IsEmpty());
  EXPECT_THAT(schemes("Proxy-Authenticate: Basic realm=\"never ends\\\r\n"), ElementsAre("basic"));
}

Error error(const std::string& head, bool tried = false) {
  return error_for(decode(head + "\r\n\r\n").reply, tried);
}

TEST(ConnectWire, ARefusalSaysWhatToDo) {
  const Error asks = error("HTTP/1.1 407 x\r\nProxy-Authenticate: NTLM, Basic realm=\"r\"");
  EXPECT_EQ(asks.code, ErrorCode::authentication_failed);
  EXPECT_THAT(asks.message, HasSubstr("--via-password-file"));
  EXPECT_THAT(error("HTTP/1.1 407 x\r\nProxy-Authenticate: Basic", true).message,
              HasSubstr("refuses the user and password"));
  EXPECT_THAT(error("HTTP/1.1 407 x\r\nProxy-Authenticate: Negotiate, NTLM").message,
              HasSubstr("negotiate, ntlm; only Basic"));
  EXPECT_THAT(error("HTTP/1.1 401 Unauthorized", true).message, HasSubstr("refuses the user"));
  EXPECT_EQ(error("HTTP/1.1 403 Filtered").code, ErrorCode::not_allowed);
  EXPECT_THAT(error("HTTP/1.1 403 Filtered").message, HasSubstr("403 Filtered: its rules"));
  EXPECT_EQ(error("HTTP/1.1 405 x").code, ErrorCode::command_not_supported);
  EXPECT_EQ(error("HTTP/1.1 500 Unable to connect").code, ErrorCode::host_unreachable);
  EXPECT_EQ(error("HTTP/1.1 502 x").code, ErrorCode::host_unreachable);
  EXPECT_EQ(error("HTTP/1.1 503 x").code, ErrorCode::host_unreachable);
  EXPECT_EQ(error("HTTP/1.1 504 x").code, ErrorCode::timed_out);
  EXPECT_EQ(error("HTTP/1.1 302 x").code, ErrorCode::general);
}

TEST(ConnectWire, AReasonIsShownWithoutControlCharacters) {
  EXPECT_THAT(error("HTTP/1.1 403 a\x1b[31m\xff").message, HasSubstr("403 a?[31m?:"));
  EXPECT_LT(error("HTTP/1.1 403 " + std::string(1000, 'x')).message.size(), 300U);
}

}  // namespace
}  // namespace tunproxy::http
