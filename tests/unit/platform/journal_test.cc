#include "platform/linux/journal.h"

#include <gtest/gtest.h>

namespace tunproxy::linux_host {
namespace {

Journal full_journal() {
  Journal journal;
  journal.tun = "tunproxy0";
  journal.table = 8528;
  journal.rules = {{Family::ipv4, 32764, 254, 0, 0xffffffff, false, 0},
                   {Family::ipv6, 32765, 8528, 8528, 0xffffffff, true, -1},
                   {Family::ipv6, 32763, 8528, 0, 0xffffffff, false, -1, 53}};
  journal.sysctls = {{"net/ipv4/conf/eth0/rp_filter", "1", "2"}};
  journal.resolv_conf = FileBackup{"/etc/resolv.conf",
                                   FileBackup::Kind::file,
                                   "nameserver 192.0.2.1\n# \xc3\xa4 \n",
                                   0640,
                                   7,
                                   8};
  journal.links = {{"domain", "eth0", {"example.lan", "~corp.example"}},
                   {"mdns", "wlan0", {"yes"}}};
  return journal;
}

TEST(Journal, ReadsWhatItWrote) {
  const Journal journal = full_journal();
  const auto read = Journal::parse(journal.to_text());
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(*read, journal);
}

TEST(Journal, KeepsAnEmptyFileApartFromAMissingOne) {
  Journal journal;
  journal.tun = "t";
  journal.resolv_conf = FileBackup{"/etc/resolv.conf", FileBackup::Kind::missing, "", 0644, 0, 0};
  EXPECT_EQ(*Journal::parse(journal.to_text()), journal);
  journal.resolv_conf->kind = FileBackup::Kind::file;
  EXPECT_EQ(*Journal::parse(journal.to_text()), journal);
}

TEST(Journal, RefusesWhatItDidNotWrite) {
  for (const char* text : {"", "something else\n", "tunproxy journal 1\nrule 4 1\n",
                           "tunproxy journal 1\nfrobnicate\n", "tunproxy journal 2\n"}) {
    EXPECT_FALSE(Journal::parse(text)) << text;
  }
}

}  // namespace
}  // namespace tunproxy::linux_host
