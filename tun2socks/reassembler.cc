#include "tun2socks/reassembler.h"

#include <algorithm>

#include "tun2socks/ip_writer.h"
#include "tun2socks/packet_device.h"

namespace tunproxy::tun2socks {
namespace {

constexpr size_t kLongest = 65535;  // IPv4: header and payload; IPv6: all behind the first 40 bytes

}  // namespace

Reassembler::Reassembler(io::Loop& loop, EngineStats& stats)
    : loop_(loop), stats_(stats), timer_(loop, [this] { on_timer(); }) {}

ByteVector Reassembler::add(const IpPacket& fragment) {
  const Piece piece = piece_of(fragment);
  if (!plausible(fragment, piece)) return stats_.drop(Drop::fragment_limit), ByteVector();
  // Whole by itself (RFC 6946): it must not meet fragments that happen to have its id.
  if (piece.begin == 0 && !piece.more) return join(header_of(fragment), piece.data);
  auto partial = find(key_of(fragment));
  const size_t length = partial->payload.size();
  if (!insert(*partial, piece)) return give_up(partial), ByteVector();
  bytes_ += partial->payload.size() - length;
  if (piece.begin == 0 && partial->header.empty()) partial->header = header_of(fragment);
  if (partial->complete()) {
    const size_t limit = kLongest + (fragment.v6 ? kV6HeaderLength : 0);
    if (partial->header.size() + partial->total > limit) return give_up(partial), ByteVector();
    ByteVector whole = join(partial->header, partial->payload);
    forget(partial);
    return whole;
  }
  bound();
  return {};
}

Reassembler::Piece Reassembler::piece_of(const IpPacket& fragment) {
  Piece piece;
  piece.data = fragment.payload();
  if (fragment.v6) {
    const uint16_t field = load_be16(&fragment.whole[fragment.fragment_offset + 2]);
    piece.begin = field & 0xfff8;
    piece.more = (field & 1) != 0;
  } else {
    const uint16_t field = load_be16(&fragment.whole[6]);
    piece.begin = size_t{field & 0x1fffU} * 8;
    piece.more = (field & 0x2000) != 0;
  }
  piece.end = piece.begin + piece.data.size();
  return piece;
}

/// Every fragment but the last carries a multiple of 8 bytes, and some; none passes the longest
/// packet.
bool Reassembler::plausible(const IpPacket& fragment, const Piece& piece) {
  const size_t header =
      fragment.v6 ? fragment.fragment_offset - kV6HeaderLength : fragment.header_length;
  const bool aligned = !piece.more || piece.data.size() % 8 == 0;
  const bool some = !piece.data.empty() || (piece.begin == 0 && !piece.more);
  return aligned && some && header + piece.end <= kLongest;
}

Reassembler::Key Reassembler::key_of(const IpPacket& fragment) {
  Key key{};
  const Bytes source = fragment.source();
  const Bytes destination = fragment.destination();
  std::copy(source.begin(), source.end(), key.begin());
  std::copy(destination.begin(), destination.end(), key.begin() + 16);
  key[36] = fragment.v6 ? 6 : 4;
  if (fragment.v6) {
    std::copy_n(&fragment.whole[fragment.fragment_offset + 4], 4, key.begin() + 32);
  } else {
    std::copy_n(&fragment.whole[4], 2, key.begin() + 32);
    key[37] = fragment.protocol;
  }
  return key;
}

std::list<Reassembler::Partial>::iterator Reassembler::find(const Key& key) {
  const auto found = std::find_if(partials_.begin(), partials_.end(),
                                  [&](const Partial& partial) { return partial.key == key; });
  if (found != partials_.end()) return found;
  if (partials_.size() >= kMaxPackets) give_up(partials_.begin());
  partials_.push_back({key, loop_.now() + kMaxAge, {}, {}, {}, 0});
  if (!timer_.active()) timer_.start(kMaxAge);
  return std::prev(partials_.end());
}

/// False: it contradicts what came before.
bool Reassembler::insert(Partial& partial, const Piece& piece) {
  if (!piece.more) {
    if (partial.total != 0 && partial.total != piece.end) return false;
    if (partial.payload.size() > piece.end) return false;
    partial.total = piece.end;
  }
  if (partial.total != 0 && piece.end > partial.total) return false;
  auto& ranges = partial.ranges;
  auto next = std::find_if(ranges.begin(), ranges.end(),
                           [&](const auto& range) { return range.second > piece.begin; });
  if (next != ranges.end() && next->first < piece.end) {
    return next->first <= piece.begin && next->second >= piece.end;  // repeated, or overlapping
  }
  next = ranges.insert(next, {piece.begin, piece.end});
  if (const auto behind = std::next(next);
      behind != ranges.end() && behind->first == next->second) {
    next->second = behind->second;
    next = std::prev(ranges.erase(behind));
  }
  if (next != ranges.begin() && std::prev(next)->second == next->first) {
    std::prev(next)->second = next->second;
    ranges.erase(next);
  }
  if (partial.payload.size() < piece.end) partial.payload.resize(piece.end);
  std::copy(piece.data.begin(), piece.data.end(),
            partial.payload.begin() + static_cast<ptrdiff_t>(piece.begin));
  return true;
}

/// The header of the whole packet, but for its length: without the fragment header or fields.
ByteVector Reassembler::header_of(const IpPacket& fragment) {
  const auto begin = fragment.whole.begin();
  if (!fragment.v6) {
    ByteVector header(begin, begin + static_cast<ptrdiff_t>(fragment.header_length));
    store_be16(&header[6], 0);
    return header;
  }
  ByteVector header(begin, begin + static_cast<ptrdiff_t>(fragment.fragment_offset));
  size_t next_header = 6;
  for (size_t at = kV6HeaderLength; at < header.size();) {
    next_header = at;
    at += 8 * (1 + size_t{header[at + 1]});
  }
  header[next_header] = fragment.whole[fragment.fragment_offset];
  return header;
}

ByteVector Reassembler::join(Bytes header, Bytes payload) {
  ByteVector packet;
  packet.reserve(header.size() + payload.size() + PacketSink::kPacketSlack);
  append(packet, header);
  append(packet, payload);
  const size_t length = packet.size();
  // What may be read behind a packet shall be bytes that were written.
  packet.resize(length + PacketSink::kPacketSlack);
  packet.resize(length);
  if (packet[0] >> 4 == 6) {
    store_be16(&packet[4], static_cast<uint16_t>(length - kV6HeaderLength));
  } else {
    store_be16(&packet[2], static_cast<uint16_t>(length));
    put_ip_checksum(MutableBytes(packet).first(header.size()));
  }
  return packet;
}

void Reassembler::bound() {
  while (bytes_ > kMaxBytes) give_up(partials_.begin());
}

void Reassembler::give_up(std::list<Partial>::iterator partial) {
  stats_.drop(Drop::fragment_limit);
  forget(partial);
}

void Reassembler::forget(std::list<Partial>::iterator partial) {
  bytes_ -= partial->payload.size();
  partials_.erase(partial);
  if (partials_.empty()) timer_.stop();
}

void Reassembler::on_timer() {
  const Instant now = loop_.now();
  while (!partials_.empty() && partials_.front().expires <= now) give_up(partials_.begin());
  if (!partials_.empty()) timer_.start(partials_.front().expires - now);
}

}  // namespace tunproxy::tun2socks
