// What `tunproxy status` prints of a control socket's JSON.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/control/report.h"
#include "tools/tunproxy/status.h"

namespace tunproxy::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class StatusText : public ::testing::Test {
 protected:
  StatusText() {
    status_.state = "online";
    status_.server = "SSH me@server:22";
    status_.carrier = "relay";
    status_.carrier_text = "carried by the relay helper at the server; NAT: full cone";
    status_.resolver = "by the server's resolver (10.0.0.53)";
  }
  std::string text() {
    return status_text(control::status_json(status_, account_, loop_.now(), {}), 0, 0);
  }

  io::Loop loop_;
  account::Account account_{loop_};
  control::TunnelStatus status_;
};

TEST_F(StatusText, SaysWhoCarriesUdpAndWhoResolvesNames) {
  EXPECT_THAT(text(), HasSubstr("\nUDP:      carried by the relay helper at the server; NAT: "
                                "full cone\nnames:    by the server's resolver (10.0.0.53)\n"));
}

TEST_F(StatusText, CountersThatAreZeroAreLeftOut) {
  status_.udp = {{"opened", 0}};
  for (const char* title : {"datagrams:", "replies:", "dropped:"}) {
    EXPECT_THAT(text(), Not(HasSubstr(title)));
  }
}

TEST_F(StatusText, CountersHaveTheirReasons) {
  status_.udp_associations = 3;
  status_.udp = {{"opened", 30}, {"shared", 2}};
  status_.drops = {{"socks_udp/fragment", 4}, {"tun/malformed", 1}};
  status_.replies = {{"00", 7}, {"05", 1}};
  account_.drop(account::Drop::denied);
  EXPECT_THAT(text(), HasSubstr("\ndatagrams: 3 associations, 30 opened, 2 shared\n"));
  EXPECT_THAT(text(), HasSubstr("\nreplies:  7 of SOCKS 00, 1 of SOCKS 05\n"));
  EXPECT_THAT(text(), HasSubstr("\ndropped:  4 socks_udp/fragment, 1 tun/malformed, "
                                "1 rules/denied\n"));
}

TEST_F(StatusText, WhatIsNoStatusIsShownAsItIs) {
  EXPECT_EQ(status_text("nonsense", 0, 0), "nonsense");
}

}  // namespace
}  // namespace tunproxy::cli
