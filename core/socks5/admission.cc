#include "core/socks5/admission.h"

#include <algorithm>
#include <utility>

#include "core/io/descriptors.h"

namespace tunproxy::socks5 {
namespace {

static_assert(io::kReservedDescriptors >= 2 * Admission::kMaxRefusals);

// Whoever has an IPv6 address has the block around it.
std::optional<IpAddress> key_of(const std::optional<IpAddress>& client) {
  if (!client) return std::nullopt;
  const IpAddress address = client->unmapped();
  if (address.is_loopback()) return std::nullopt;
  if (address.is_v4()) return address;
  uint8_t block[16] = {};
  std::copy_n(address.bytes().begin(), 8, block);
  return IpAddress::v6(block);
}

}  // namespace

std::unique_ptr<Admission::Ticket> Admission::admit(const std::optional<IpAddress>& client,
                                                    std::function<void()> evict) {
  ++stats_.accepted;
  const std::optional<IpAddress> key = key_of(client);
  const auto found = key ? clients_.find(*key) : clients_.end();
  const Client* known = found != clients_.end() ? &found->second : nullptr;
  const size_t of_client = known != nullptr ? known->connections : 0;
  const int64_t left = io::descriptors_left();
  if (beyond_refusal(of_client, left)) {
    ++stats_.dropped;
    return nullptr;
  }
  make_room(known);
  return std::make_unique<Ticket>(*this, key, refusal(of_client, left), std::move(evict));
}

bool Admission::beyond_refusal(size_t of_client, int64_t left) const {
  return connections_ >= options_.max_connections + kMaxRefusals ||
         of_client >= options_.max_per_client + kMaxRefusals ||
         left < -static_cast<int64_t>(kMaxRefusals) ||
         (!memory_.admits() && half_open_.size() >= kMaxRefusals);
}

std::string_view Admission::refusal(size_t of_client, int64_t left) const {
  if (connections_ >= options_.max_connections) return "too many connections";
  if (of_client >= options_.max_per_client) return "too many connections from one address";
  if (left < 0) return "too many open files";
  if (!memory_.admits()) return "the memory that buffers may take (--memory) is in use";
  return {};
}

void Admission::make_room(const Client* client) {
  if (client != nullptr && client->half_open.size() >= options_.max_half_open_per_client) {
    evict(*client->half_open.front());
  } else if (half_open_.size() >= options_.max_half_open) {
    evict(*half_open_.front());
  }
}

void Admission::evict(Ticket& ticket) {
  ++stats_.evicted;
  ticket.settle();
  const auto evict = std::move(ticket.evict_);
  evict();
}

Admission::Ticket::Ticket(Admission& owner, const std::optional<IpAddress>& client,
                          std::string_view refusal, std::function<void()> evict)
    : owner_(owner), client_(client), refusal_(refusal), evict_(std::move(evict)) {
  ++owner_.connections_;
  in_all_ = owner_.half_open_.insert(owner_.half_open_.end(), this);
  if (!client_) return;
  Client& own = owner_.clients_[*client_];
  ++own.connections;
  in_client_ = own.half_open.insert(own.half_open.end(), this);
}

void Admission::Ticket::settle() {
  if (!std::exchange(half_open_, false)) return;
  owner_.half_open_.erase(in_all_);
  if (client_) owner_.clients_.find(*client_)->second.half_open.erase(in_client_);
}

Admission::Ticket::~Ticket() {
  settle();
  --owner_.connections_;
  if (!client_) return;
  const auto own = owner_.clients_.find(*client_);
  if (--own->second.connections == 0) owner_.clients_.erase(own);
}

}  // namespace tunproxy::socks5
