#include "core/dns/fake_table.h"

#include <algorithm>
#include <cassert>
#include <iterator>
#include <optional>

namespace tunproxy::dns {
namespace {

constexpr uint8_t kIpv4[4] = {198, 19, 0, 0};
// The IPv4 address stands in the last four bytes.
constexpr uint8_t kIpv6[16] = {0xfd, 't', 'u', 'n', 'f', 'k', 0, 0, 0, 0, 0, 0, 198, 19, 0, 0};
constexpr uint8_t kIpv4Prefix = 16;
constexpr uint8_t kIpv6Prefix = 64;
constexpr size_t kNumberAt = 2;  // bytes before the end of either

template <size_t kLength>
std::array<uint8_t, kLength> with_number(const uint8_t (&block)[kLength], uint16_t number) {
  std::array<uint8_t, kLength> bytes{};
  std::copy(std::begin(block), std::end(block), bytes.begin());
  store_be16(&bytes[kLength - kNumberAt], number);
  return bytes;
}

std::optional<uint16_t> number_of(const IpAddress& address) {
  const Bytes bytes = address.bytes();
  const Bytes block = address.is_v4() ? Bytes(kIpv4) : Bytes(kIpv6);
  const size_t common = bytes.size() - kNumberAt;
  if (!std::equal(block.begin(), block.begin() + static_cast<ptrdiff_t>(common), bytes.begin())) {
    return std::nullopt;
  }
  return load_be16(&bytes[common]);
}

// Some programs take an address that ends so for that of a network, or a broadcast.
bool looks_odd(uint16_t number) {
  const unsigned last = number & 0xffU;
  return last == 0 || last == 0xff;
}

}  // namespace

FakeTable::FakeTable(uint32_t start) : last_number_(static_cast<uint16_t>(start)) {}

const std::vector<Cidr>& FakeTable::blocks() {
  static const std::vector<Cidr> blocks = [] {
    uint8_t network[16] = {};
    std::copy_n(kIpv6, kIpv6Prefix / 8, network);
    return std::vector<Cidr>{{IpAddress::v4(kIpv4), kIpv4Prefix},
                             {IpAddress::v6(network), kIpv6Prefix}};
  }();
  return blocks;
}

bool FakeTable::contains(const IpAddress& address) {
  return std::any_of(blocks().begin(), blocks().end(),
                     [&](const Cidr& block) { return block.contains(address); });
}

FakeTable::Addresses FakeTable::addresses_of(std::string_view name) {
  assert(!name.empty() && name.size() <= kMaxName);
  const auto found = by_name_.find(name);
  if (found != by_name_.end()) {
    entries_.splice(entries_.begin(), entries_, found->second);
  } else {
    if (size() == kMaxNames) forget_oldest();
    entries_.push_front({std::string(name), free_number()});
    by_name_[entries_.front().name] = entries_.begin();
    by_number_[entries_.front().number] = entries_.begin();
  }
  const uint16_t number = entries_.front().number;
  return {IpAddress::v4(with_number(kIpv4, number).data()),
          IpAddress::v6(with_number(kIpv6, number).data())};
}

const std::string* FakeTable::name_of(const IpAddress& address) {
  const auto number = number_of(address);
  const auto found = number ? by_number_.find(*number) : by_number_.end();
  if (found == by_number_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, found->second);
  return &found->second->name;
}

uint16_t FakeTable::free_number() {
  do {
    ++last_number_;
  } while (looks_odd(last_number_) || by_number_.contains(last_number_));
  return last_number_;
}

void FakeTable::forget_oldest() {
  by_name_.erase(entries_.back().name);
  by_number_.erase(entries_.back().number);
  entries_.pop_back();
}

}  // namespace tunproxy::dns
