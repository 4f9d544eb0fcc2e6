// Two ends of ours, over streams in memory.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "core/tls/handshake.h"
#include "core/tls/stream.h"
#include "tests/support/memory_stream.h"
#include "tests/unit/tls/certificates.h"

namespace tunproxy::testing {

class TlsTest : public ::testing::Test {
 protected:
  using Outcome = std::optional<Result<std::unique_ptr<net::Stream>>>;

  static void SetUpTestSuite() { files_ = std::make_unique<Certificates>(); }
  static void TearDownTestSuite() { files_.reset(); }

  static net::Done<std::unique_ptr<net::Stream>> into(Outcome& outcome) {
    return [&outcome](auto result) { outcome = std::move(result); };
  }
  void begin_server(std::unique_ptr<net::Stream> stream, const tls::ServerOptions& options) {
    auto context = tls::ServerContext::create(options);
    ASSERT_TRUE(context) << context.error().message;
    accepting_ = tls::accept(loop_, std::move(stream), *context, into(server_));
  }
  void begin_client(std::unique_ptr<net::Stream> stream, const tls::ClientOptions& options) {
    auto context = tls::ClientContext::create(options);
    ASSERT_TRUE(context) << context.error().message;
    connecting_ = tls::connect(loop_, std::move(stream), *context, into(client_));
  }
  bool settle() {
    return run_until(loop_, [&] { return server_ && client_; });
  }
  void shake_hands(const tls::ServerOptions& server, const tls::ClientOptions& client,
                   Manners manners = {}) {
    server_.reset();
    client_.reset();
    auto [a, b] = MemoryStream::make_pair(loop_, manners);
    begin_server(std::move(a), server);
    begin_client(std::move(b), client);
    ASSERT_TRUE(settle());
  }
  /// What the client is told, if need be after the handshake: in TLS 1.3 it comes that late.
  std::string said_to_client() {
    if (!*client_) return client_->error().message;
    run_until(loop_, [&] { return client().error() != nullptr; });
    return client().error() != nullptr ? client().error()->message : "";
  }
  static std::string error_of(const Outcome& outcome) {
    return *outcome ? "" : outcome->error().message;
  }
  tls::Stream& client() { return static_cast<tls::Stream&>(***client_); }
  tls::Stream& server() { return static_cast<tls::Stream&>(***server_); }

  inline static std::unique_ptr<Certificates> files_;
  io::Loop loop_;
  Outcome server_;
  Outcome client_;
  std::unique_ptr<net::Attempt> accepting_;
  std::unique_ptr<net::Attempt> connecting_;
};

}  // namespace tunproxy::testing
