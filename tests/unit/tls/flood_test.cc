// A peer that makes OpenSSL answer again and again, and reads no answer.
#include <gmock/gmock.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "tests/unit/tls/tls_fixture.h"

namespace tunproxy::tls {
namespace {

using testing::MemoryStream;
using testing::run_until;

/// OpenSSL's client itself, over a stream in memory.
class RawClient {
 public:
  RawClient(std::unique_ptr<MemoryStream> below, int version)
      : below_(std::move(below)), context_(SSL_CTX_new(TLS_client_method())) {
    SSL_CTX_set_min_proto_version(context_.get(), version);
    SSL_CTX_set_max_proto_version(context_.get(), version);
    connection_.reset(SSL_new(context_.get()));
    from_peer_ = BIO_new(BIO_s_mem());
    to_peer_ = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(from_peer_, -1);
    SSL_set_bio(connection_.get(), from_peer_, to_peer_);
    SSL_set_connect_state(connection_.get());
  }

  SSL* ssl() { return connection_.get(); }
  bool shake_hands() {
    const bool done = SSL_do_handshake(ssl()) == 1;
    send();
    receive();
    return done;
  }
  /// False: the stream below does not take all of it.
  bool send() {
    char* bytes = nullptr;
    const long n = BIO_get_mem_data(to_peer_, &bytes);
    if (n <= 0) return true;
    const size_t offered = static_cast<size_t>(n);
    const size_t taken = below_->write({reinterpret_cast<const uint8_t*>(bytes), offered});
    sent_ += taken;
    std::vector<char> skipped(taken);
    if (taken > 0) BIO_read(to_peer_, skipped.data(), static_cast<int>(taken));
    return taken == offered;
  }
  void receive() {
    const std::string bytes = below_->read_all();
    if (!bytes.empty()) BIO_write(from_peer_, bytes.data(), static_cast<int>(bytes.size()));
  }
  /// What came as data; takes in everything else that came.
  std::string read() {
    receive();
    char data[1024];
    const int n = SSL_read(ssl(), data, sizeof data);
    return n > 0 ? std::string(data, static_cast<size_t>(n)) : std::string();
  }
  size_t sent() const { return sent_; }

 private:
  std::unique_ptr<MemoryStream> below_;
  std::unique_ptr<SSL_CTX, Freed> context_;
  std::unique_ptr<SSL, Freed> connection_;
  BIO* from_peer_ = nullptr;
  BIO* to_peer_ = nullptr;
  size_t sent_ = 0;
};

class TlsFloodTest : public testing::TlsTest {
 protected:
  void begin(int version) {
    auto [a, b] = MemoryStream::make_pair(loop_);
    begin_server(std::move(a), files_->server());
    raw_.emplace(std::move(b), version);
    ASSERT_TRUE(run_until(loop_, [&] { return raw_->shake_hands() && server_; }));
    ASSERT_TRUE(*server_) << error_of(server_);
  }
  std::optional<RawClient> raw_;
};

TEST_F(TlsFloodTest, WhoAsksForNewKeysAndReadsNoAnswerIsNotReadEither) {
  begin(TLS1_3_VERSION);
  constexpr size_t kMuch = 4 * 1024 * 1024;
  const size_t before = raw_->sent();
  bool stuck = false;
  int rounds_without_room = 0;
  while (!stuck && raw_->sent() - before < kMuch) {
    for (int i = 0; i < 500; ++i) {
      ASSERT_EQ(SSL_key_update(raw_->ssl(), SSL_KEY_UPDATE_REQUESTED), 1);
      ASSERT_EQ(SSL_do_handshake(raw_->ssl()), 1);
    }
    while (!raw_->send() && !stuck) {
      loop_.run_once(false);
      stuck = ++rounds_without_room > 1000;
    }
  }
  // The stream below each way, the answers that wait, and what was taken in before them.
  EXPECT_TRUE(stuck);
  EXPECT_LE(raw_->sent() - before, 4 * Stream::kUnsent) << "more would be answers in memory";

  // Once it reads them, all goes on.
  ASSERT_TRUE(run_until(loop_, [&] {
    (void)raw_->read();
    return raw_->send();
  }));
  ASSERT_EQ(SSL_write(raw_->ssl(), "still here", 10), 10);
  ASSERT_TRUE(run_until(loop_, [&] {
    (void)raw_->read();
    (void)raw_->send();
    return !server().peek().empty();
  }));
  EXPECT_EQ(as_text(server().peek()), "still here");
  EXPECT_EQ(server().write(as_bytes("so am I")), 7U);
  std::string got;
  EXPECT_TRUE(run_until(loop_, [&] { return (got += raw_->read()) == "so am I"; }));
}

TEST_F(TlsFloodTest, NobodyRenegotiates) {
  begin(TLS1_2_VERSION);
  ASSERT_EQ(SSL_renegotiate(raw_->ssl()), 1);
  SSL_do_handshake(raw_->ssl());
  raw_->send();
  ERR_clear_error();
  int reason = 0;
  EXPECT_TRUE(run_until(loop_, [&] {
    raw_->receive();
    SSL_do_handshake(raw_->ssl());
    reason = ERR_GET_REASON(ERR_peek_last_error());
    return reason != 0;
  }));
  EXPECT_EQ(reason, SSL_R_NO_RENEGOTIATION);
}

}  // namespace
}  // namespace tunproxy::tls
