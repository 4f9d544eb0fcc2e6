#include "tests/unit/tun2socks/scripted_datagrams.h"

#include <gtest/gtest.h>

namespace tunproxy::testing {
namespace {

using Association = ScriptedDatagrams::Association;

class Opening final : public net::Attempt {
 public:
  explicit Opening(std::shared_ptr<Association> association)
      : association_(std::move(association)) {}
  ~Opening() override {
    if (!association_->open) association_->cancelled = true;
  }

 private:
  std::shared_ptr<Association> association_;
};

class Session final : public net::DatagramSession {
 public:
  Session(std::shared_ptr<Association> association, bool record)
      : association_(std::move(association)), record_(record) {}
  ~Session() override { association_->destroyed = true; }

  void send(const Target& to, Bytes payload) override {
    if (record_) association_->sent.emplace_back(to, ByteVector(payload.begin(), payload.end()));
  }
  std::optional<ErrorCode> refuses(const Target& to) override {
    if (association_->forbidden != to) return std::nullopt;
    return ErrorCode::not_allowed;
  }

 private:
  std::shared_ptr<Association> association_;
  bool record_;
};

}  // namespace

std::unique_ptr<net::Attempt> ScriptedDatagrams::associate(
    net::OnDatagram on_datagram, net::OnAssociationClosed on_closed,
    net::Done<std::unique_ptr<net::DatagramSession>> done) {
  all.push_back(std::make_shared<Association>());
  all.back()->on_datagram = std::move(on_datagram);
  all.back()->on_closed = std::move(on_closed);
  all.back()->done = std::move(done);
  return std::make_unique<Opening>(all.back());
}

void ScriptedDatagrams::open(size_t index) {
  ASSERT_FALSE(all[index]->cancelled);
  all[index]->open = true;
  all[index]->done(
      std::unique_ptr<net::DatagramSession>(std::make_unique<Session>(all[index], record)));
}

void ScriptedDatagrams::open_all() {
  for (size_t i = 0; i < all.size(); ++i) {
    if (!all[i]->open && !all[i]->cancelled) open(i);
  }
}

void ScriptedDatagrams::fail(size_t index, ErrorCode code) {
  ASSERT_FALSE(all[index]->cancelled);
  all[index]->done(Error{code, "scripted"});
}

void ScriptedDatagrams::lose(size_t index) {
  all[index]->on_closed(Error{ErrorCode::reset, "scripted"});
}

void ScriptedDatagrams::reply(size_t index, const Endpoint& from, std::string_view text) {
  all[index]->on_datagram(from, as_bytes(text));
}

}  // namespace tunproxy::testing
