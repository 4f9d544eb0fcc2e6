#include "platform/apple/utun_device.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "core/io/loop.h"

namespace tunproxy::apple_host {
namespace {

// One end is the interface's, as the system makes it: whole packets, each behind its family.
class UtunDeviceTest : public ::testing::Test, public tun2socks::PacketSink {
 protected:
  static constexpr uint16_t kMtu = 1400;

  void SetUp() override {
    int ends[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    system_.reset(ends[0]);
    device_ = std::make_unique<UtunDevice>(loop_, UniqueFd(ends[1]), kMtu);
    device_->start(*this, [this](const Error& error) {
      failure_ = error.message;
      loop_.stop();
    });
  }

  void on_packet(MutableBytes packet, const tun2socks::Offload&,
                 tun2socks::PacketBuffer* storage) override {
    packets_.emplace_back(packet.begin(), packet.end());
    if (keep_) kept_.push_back(std::move(*storage));
  }

  void on_batch_end() override {
    ++batches_;
    if (packets_.size() >= wanted_) loop_.stop();
  }

  void run_until(size_t packets) {
    wanted_ = packets;
    loop_.run();
  }

  void from_system(const std::string& family, const std::string& packet) const {
    const std::string all = family + packet;
    ASSERT_EQ(::send(system_.get(), all.data(), all.size(), 0), static_cast<ssize_t>(all.size()));
  }

  std::string to_system() const {
    std::string got(kMtu + 100, '\0');
    const ssize_t n = ::recv(system_.get(), got.data(), got.size(), MSG_DONTWAIT);
    got.resize(n < 0 ? 0 : static_cast<size_t>(n));
    return got;
  }

  static Bytes bytes(const std::string& text) {
    return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
  }

  const std::string inet_{0, 0, 0, 2};
  const std::string inet6_{0, 0, 0, 30};
  io::Loop loop_;
  UniqueFd system_;
  std::unique_ptr<UtunDevice> device_;
  std::vector<std::string> packets_;
  std::vector<tun2socks::PacketBuffer> kept_;
  bool keep_ = false;
  size_t wanted_ = 0;
  size_t batches_ = 0;
  std::string failure_;
};

TEST_F(UtunDeviceTest, TakesTheFamilyOff) {
  from_system(inet_, "\x45 four");
  from_system(inet6_, "\x60 six");
  run_until(2);
  EXPECT_EQ(packets_, (std::vector<std::string>{"\x45 four", "\x60 six"}));
  EXPECT_EQ(batches_, 1U);
}

TEST_F(UtunDeviceTest, PutsTheFamilyInFront) {
  const std::string header = "\x45 header";
  const std::string payload = "payload";
  const std::vector<Bytes> parts = {bytes(header), bytes(payload)};
  EXPECT_TRUE(device_->send(parts, {}));
  EXPECT_EQ(to_system(), inet_ + header + payload);
  const std::string six = "\x60 six";
  const std::vector<Bytes> one = {bytes(six)};
  EXPECT_TRUE(device_->send(one, {}));
  EXPECT_EQ(to_system(), inet6_ + six);
}

TEST_F(UtunDeviceTest, PacketsMayBeKept) {
  keep_ = true;
  const std::string largest = "\x45" + std::string(kMtu - 1, 'x');
  for (int i = 0; i < 20; ++i) from_system(inet_, largest);
  run_until(20);
  for (const std::string& packet : packets_) EXPECT_EQ(packet, largest);
}

TEST_F(UtunDeviceTest, WhatIsNoPacketIsPassedOver) {
  from_system("", "xy");
  from_system(inet_, "");
  from_system(inet_, "\x45 good");
  run_until(1);
  EXPECT_EQ(packets_, std::vector<std::string>{"\x45 good"});
  EXPECT_FALSE(device_->send({}, {}));
  const std::vector<Bytes> empty = {Bytes{}};
  EXPECT_FALSE(device_->send(empty, {}));
}

TEST_F(UtunDeviceTest, SaysWhenItIsFull) {
  const std::string packet = "\x45" + std::string(kMtu - 1, 'x');
  const std::vector<Bytes> parts = {bytes(packet)};
  bool taken = true;
  for (int i = 0; taken && i < 100'000; ++i) taken = device_->send(parts, {});
  EXPECT_FALSE(taken);
}

TEST_F(UtunDeviceTest, TheEndOfTheInterfaceIsTold) {
  system_.reset();
  run_until(1);
  EXPECT_NE(failure_.find("utun"), std::string::npos) << failure_;
}

TEST_F(UtunDeviceTest, StoppedItIsSilent) {
  device_->stop();
  from_system(inet_, "\x45 late");
  loop_.post([this] { loop_.stop(); });
  loop_.run();
  EXPECT_TRUE(packets_.empty());
}

}  // namespace
}  // namespace tunproxy::apple_host
