// A private key for tests that only read it.
#pragma once

namespace tunproxy::testing {

inline constexpr const char* kPrivateKey =
    "-----BEGIN OPENSSH PRIVATE KEY-----\n"
    "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW\n"
    "QyNTUxOQAAACCu+O4bNp85iX4v3ysjmZUZjwWhtV/SzWEQOSYWCV56PwAAAIj3F00q9xdN\n"
    "KgAAAAtzc2gtZWQyNTUxOQAAACCu+O4bNp85iX4v3ysjmZUZjwWhtV/SzWEQOSYWCV56Pw\n"
    "AAAEBYckk6DDw3wOCgAAUXTdA4uLq68V1Zgm0y3ZEbOTOGtK747hs2nzmJfi/fKyOZlRmP\n"
    "BaG1X9LNYRA5JhYJXno/AAAABHRlc3QB\n"
    "-----END OPENSSH PRIVATE KEY-----\n";

}  // namespace tunproxy::testing
