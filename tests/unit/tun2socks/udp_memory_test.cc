// What the pool allocates for an association, counted by operator new.
#include "tests/support/allocations.h"
#include "tests/unit/tun2socks/pool_fixture.h"

namespace tunproxy::testing {
namespace {

class UdpMemory : public UdpPoolTest {
 protected:
  UdpMemory() {
    proxy_.record = false;
    proxy_.all.reserve(200);
  }
  /// The proxy's own part is not the pool's.
  static constexpr size_t kLimit = size_t{10} * 1024;
};

TEST_F(UdpMemory, IdleAssociationsAreSmall) {
  const size_t before = allocated();
  for (unsigned i = 0; i < 100; ++i) send(i, 7);
  proxy_.open_all();
  const size_t each = (allocated() - before) / 100;
  RecordProperty("bytes", static_cast<int>(each));
  std::printf("an open association: %zu bytes, the test's part of it included\n", each);
  EXPECT_LT(each, size_t{1024});
}

TEST_F(UdpMemory, FullTablesAndQueuesStayBelowTheLimit) {
  const size_t before = allocated();
  for (unsigned i = 0; i < 100; ++i) {
    for (unsigned to = 0; to < tun2socks::UdpPeers::kMost - 20; ++to) send(i, to);
  }
  for (unsigned i = 100; i < 150; ++i) {
    for (unsigned to = 0; to < 40; ++to) send(i, to + 40);
  }
  for (unsigned i = 0; i < 100; ++i) {
    for (int n = 0; n < 100; ++n) send(i, 7, std::string(1200, 'x'));
  }
  EXPECT_GT(stats_.udp_shared, 1000U);
  const size_t each = (allocated() - before) / 100;
  std::printf("the most an association holds while all open: %zu bytes\n", each);
  EXPECT_LT(each, kLimit);
  proxy_.open_all();
  const size_t open = (allocated() - before) / 100;
  std::printf("the same, open, with full tables: %zu bytes\n", open);
  EXPECT_LT(open, kLimit / 2);
  pass(10min);
  proxy_.all.clear();
  EXPECT_LT(allocated(), before + 64 * 1024) << "hash tables keep their buckets";
}

}  // namespace
}  // namespace tunproxy::testing
