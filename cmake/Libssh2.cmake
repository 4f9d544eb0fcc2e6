# libssh2 1.11.1 with the distribution's security patches and ours (cmake/libssh2/), as the static
# library tunproxy_libssh2. OpenSSL 3 only, no compression.
set(_ssh2_ours "${CMAKE_CURRENT_LIST_DIR}/libssh2")
set(_ssh2_dir "${CMAKE_BINARY_DIR}/libssh2")

file(STRINGS "${TUNPROXY_LIBSSH2_SOURCE}/include/libssh2.h" _ssh2_version
     REGEX "^#define LIBSSH2_VERSION[ \t]")
if(NOT _ssh2_version MATCHES "\"1\\.11\\.1")
  message(FATAL_ERROR "tunproxy's patch is made for libssh2 1.11.1; ${TUNPROXY_LIBSSH2_SOURCE} says: "
    "${_ssh2_version}")
endif()

include(PatchedCopy)
tunproxy_patched_copy("libssh2 1.11.1, Debian revision -1+deb13u2 or later" "${TUNPROXY_LIBSSH2_SOURCE}"
  "${_ssh2_ours}/tunproxy.patch" "${_ssh2_dir}")

set(_ssh2_sources "")
foreach(_name agent bcrypt_pbkdf chacha channel cipher-chachapoly comp crypt crypto global hostkey
        keepalive kex knownhost mac misc packet pem poly1305 publickey scp session sftp transport
        userauth userauth_kbd_packet version)
  list(APPEND _ssh2_sources "${_ssh2_dir}/src/${_name}.c")
endforeach()
include(CheckSymbolExists)
set(CMAKE_REQUIRED_DEFINITIONS -D_GNU_SOURCE)
check_symbol_exists(explicit_bzero string.h TUNPROXY_HAS_EXPLICIT_BZERO)
unset(CMAKE_REQUIRED_DEFINITIONS)
add_library(tunproxy_libssh2 STATIC ${_ssh2_sources} "${_ssh2_ours}/tunproxy_ssh2.c")
target_compile_definitions(tunproxy_libssh2 PRIVATE
  LIBSSH2_OPENSSL HAVE_UNISTD_H HAVE_INTTYPES_H HAVE_SYS_SELECT_H HAVE_SYS_UIO_H HAVE_SYS_SOCKET_H
  HAVE_SYS_IOCTL_H HAVE_SYS_TIME_H HAVE_SYS_UN_H HAVE_GETTIMEOFDAY HAVE_STRTOLL HAVE_SNPRINTF HAVE_POLL HAVE_SELECT HAVE_O_NONBLOCK
  $<$<BOOL:${TUNPROXY_HAS_EXPLICIT_BZERO}>:HAVE_EXPLICIT_BZERO>)
target_compile_options(tunproxy_libssh2 PRIVATE -w)
target_include_directories(tunproxy_libssh2 PRIVATE "${_ssh2_dir}/src")
target_include_directories(tunproxy_libssh2 SYSTEM PUBLIC "${_ssh2_dir}/include" "${_ssh2_ours}")
target_link_libraries(tunproxy_libssh2 PUBLIC OpenSSL::Crypto)
