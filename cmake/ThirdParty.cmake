# What comes from elsewhere: packages of the system, or all of it as sources; and two that are always compiled in.
find_package(Threads REQUIRED)

if(TUNPROXY_THIRD_PARTY)
  include(ThirdPartySources)
else()
  find_package(PkgConfig REQUIRED)
  find_package(OpenSSL 3 REQUIRED)
  find_package(fmt REQUIRED)
  find_package(spdlog REQUIRED)
  find_package(nlohmann_json REQUIRED)
  find_path(TOMLPLUSPLUS_INCLUDE toml++/toml.h REQUIRED)
  pkg_check_modules(UV REQUIRED IMPORTED_TARGET libuv)
  add_library(tunproxy_uv INTERFACE)
  target_link_libraries(tunproxy_uv INTERFACE PkgConfig::UV)
  set(TUNPROXY_FMT fmt::fmt)
  set(TUNPROXY_SPDLOG spdlog::spdlog)
endif()

if(NOT TUNPROXY_LIBRARY_ONLY)
  find_package(CLI11 REQUIRED)
  pkg_check_modules(NL_ROUTE REQUIRED IMPORTED_TARGET libnl-route-3.0)
  pkg_check_modules(PROMETHEUS REQUIRED IMPORTED_TARGET prometheus-cpp-core)
endif()

# Hashes of passwords in files (crypt(5)); without it only plain passwords in private files are understood.
include(CheckIncludeFile)
check_include_file(crypt.h TUNPROXY_HAS_CRYPT)

foreach(package LIBSSH2 LWIP)
  if(NOT EXISTS "${TUNPROXY_${package}_SOURCE}/src")
    message(FATAL_ERROR "No sources in ${TUNPROXY_${package}_SOURCE}: run tools/setup.sh, "
      "or give a directory with -DTUNPROXY_${package}_SOURCE=DIR")
  endif()
endforeach()

include(Libssh2)
include(Lwip)
