#include <gtest/gtest.h>

#include "core/ssh/channel_message.h"
#include "core/ssh/channel_queue.h"
#include "core/ssh/transport.h"
#include "core/ssh/transport_out.h"

namespace tunproxy::ssh {
namespace {

Buffer buffer_of(std::string_view text) {
  Buffer buffer(static_cast<uint8_t*>(std::malloc(text.size())));
  std::memcpy(buffer.get(), text.data(), text.size());
  return buffer;
}

TEST(ChannelMessage, DirectTcpipOpenIsThatOfRfc4254) {
  const ByteVector message = direct_tcpip_open(7, 65536, 32768, Target::from_host("h.test", 443));
  const std::string expected = std::string(
                                   "\x5a\0\0\0\x0c"
                                   "direct-tcpip",
                                   17) +
                               std::string("\0\0\0\x07", 4) + std::string("\0\1\0\0", 4) +
                               std::string("\0\0\x80\0", 4) +
                               std::string(
                                   "\0\0\0\x06"
                                   "h.test",
                                   10) +
                               std::string("\0\0\1\xbb", 4) +
                               std::string(
                                   "\0\0\0\x09"
                                   "127.0.0.1",
                                   13) +
                               std::string("\0\0\0\0", 4);
  EXPECT_EQ(as_text(message), expected);
}

TEST(ChannelMessage, ReaderNeverReadsPastTheEnd) {
  const uint8_t bytes[] = {0, 0, 0, 9, 'a', 'b'};  // a string of 9 bytes that has 2
  MessageReader reader(bytes);
  EXPECT_TRUE(reader.string().empty());
  EXPECT_FALSE(reader.ok());
  EXPECT_EQ(reader.u32(), 0u);
  EXPECT_EQ(reader.u8(), 0u);
}

TEST(ChannelMessage, ReaderReadsWhatTheWriterWrote) {
  const ByteVector message =
      MessageWriter(MessageType::channel_request).u32(5).string("exec").u8(1).string("").take();
  MessageReader reader(message);
  EXPECT_EQ(reader.u8(), 98u);
  EXPECT_EQ(reader.u32(), 5u);
  EXPECT_EQ(reader.text(), "exec");
  EXPECT_EQ(reader.u8(), 1u);
  EXPECT_EQ(reader.text(), "");
  EXPECT_TRUE(reader.ok());
  EXPECT_EQ(reader.u8(), 0u);
  EXPECT_FALSE(reader.ok());
}

TEST(ChannelQueue, GivesBackWhatCameInOrder) {
  MemoryBudget budget;
  ChannelQueue queue(budget);
  std::string expected;
  for (size_t i = 0; i < 300; ++i) {
    const std::string text(i % 7 == 0 ? 3000 : i, static_cast<char>('a' + i % 26));
    Buffer buffer = buffer_of(text);
    queue.append({buffer.get(), text.size()}, buffer);
    expected += text;
  }
  EXPECT_EQ(queue.size(), expected.size());
  EXPECT_GE(budget.used(), queue.size());
  EXPECT_LE(budget.used(), 2 * queue.size());
  std::string got;
  for (size_t step = 1; !queue.empty(); step = step * 3 % 4093) {
    const Bytes front = queue.front();
    ASSERT_FALSE(front.empty());
    const Bytes piece = front.first(std::min(front.size(), step));
    got += as_text(piece);
    queue.consume(piece.size());
    ASSERT_GE(budget.used(), queue.size());
  }
  EXPECT_EQ(got, expected);
  EXPECT_EQ(budget.used(), 0u);
}

TEST(ChannelQueue, TakesLargePayloadsAndLeavesSmallOnes) {
  MemoryBudget budget;
  ChannelQueue queue(budget);
  Buffer small = buffer_of("abc");
  queue.append({small.get(), 3}, small);
  EXPECT_TRUE(small);
  Buffer large = buffer_of(std::string(30000, 'x'));
  queue.append({large.get() + 9, 29991}, large);
  EXPECT_FALSE(large);
  EXPECT_EQ(queue.size(), 29994u);
}

TEST(OutBuffer, GivesBackWhatCameInOrder) {
  OutBuffer buffer;
  std::string expected;
  std::string got;
  for (size_t i = 0; i < 1000; ++i) {
    const std::string text(i % 50, static_cast<char>('a' + i % 26));
    buffer.append(as_bytes(text));
    expected += text;
    const Bytes piece = buffer.front().first(std::min(buffer.size(), i % 37));
    got += as_text(piece);
    buffer.consume(piece.size());
  }
  got += as_text(buffer.front());
  EXPECT_EQ(got, expected);
}

}  // namespace
}  // namespace tunproxy::ssh
