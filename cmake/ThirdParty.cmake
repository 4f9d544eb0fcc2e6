# What comes from elsewhere: packages of the distribution, and two sources that are compiled in.
find_package(PkgConfig REQUIRED)
find_package(OpenSSL 3 REQUIRED)
find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(CLI11 REQUIRED)
find_path(TOMLPLUSPLUS_INCLUDE toml++/toml.h REQUIRED)
find_package(nlohmann_json REQUIRED)
pkg_check_modules(UV REQUIRED IMPORTED_TARGET libuv)
pkg_check_modules(NL_ROUTE REQUIRED IMPORTED_TARGET libnl-route-3.0)
pkg_check_modules(PROMETHEUS REQUIRED IMPORTED_TARGET prometheus-cpp-core)

foreach(package LIBSSH2 LWIP)
  if(NOT EXISTS "${TUNPROXY_${package}_SOURCE}/src")
    message(FATAL_ERROR "No sources in ${TUNPROXY_${package}_SOURCE}: run tools/setup.sh, "
      "or give a directory with -DTUNPROXY_${package}_SOURCE=DIR")
  endif()
endforeach()

include(Libssh2)
include(Lwip)
