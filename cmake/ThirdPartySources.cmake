# OpenSSL, libuv and what consists of headers, from the sources that tools/scripts/fetch-sources.sh --all unpacks into
# TUNPROXY_THIRD_PARTY: for phones, which have none of them. One architecture at a time.
foreach(part include openssl libuv1)
  if(NOT EXISTS "${TUNPROXY_THIRD_PARTY}/${part}")
    message(FATAL_ERROR "No ${TUNPROXY_THIRD_PARTY}/${part}: run tools/scripts/fetch-sources.sh --all ${TUNPROXY_THIRD_PARTY}")
  endif()
endforeach()

add_library(tunproxy_fmt INTERFACE)
target_include_directories(tunproxy_fmt SYSTEM INTERFACE "${TUNPROXY_THIRD_PARTY}/include")
target_compile_definitions(tunproxy_fmt INTERFACE FMT_HEADER_ONLY=1)
set(TUNPROXY_FMT tunproxy_fmt)
add_library(tunproxy_spdlog INTERFACE)
target_compile_definitions(tunproxy_spdlog INTERFACE SPDLOG_FMT_EXTERNAL=1)
target_link_libraries(tunproxy_spdlog INTERFACE tunproxy_fmt)
set(TUNPROXY_SPDLOG tunproxy_spdlog)
add_library(nlohmann_json::nlohmann_json INTERFACE IMPORTED GLOBAL)
target_link_libraries(nlohmann_json::nlohmann_json INTERFACE tunproxy_fmt)

set(BUILD_TESTING OFF)
set(LIBUV_BUILD_TESTS OFF)
set(LIBUV_BUILD_BENCH OFF)
add_subdirectory("${TUNPROXY_THIRD_PARTY}/libuv1" libuv EXCLUDE_FROM_ALL)
add_library(tunproxy_uv INTERFACE)
target_link_libraries(tunproxy_uv INTERFACE uv_a)

# What OpenSSL's Configure calls this system, and how it is told of the compiler.
set(openssl_environment "CC=${CMAKE_C_COMPILER}" "AR=${CMAKE_AR}" "RANLIB=${CMAKE_RANLIB}")
set(openssl_flags "")
if(ANDROID)
  set(names arm64-v8a arm64 armeabi-v7a arm x86_64 x86_64 x86 x86)
  list(FIND names "${ANDROID_ABI}" at)
  math(EXPR at "${at} + 1")
  list(GET names ${at} name)
  set(openssl_target "android-${name}")
  cmake_path(GET CMAKE_C_COMPILER PARENT_PATH tools)
  set(openssl_environment "ANDROID_NDK_ROOT=${ANDROID_NDK}" "PATH=${tools}:$ENV{PATH}")
  set(openssl_flags "-D__ANDROID_API__=${ANDROID_PLATFORM_LEVEL}")
elseif(APPLE)
  list(LENGTH CMAKE_OSX_ARCHITECTURES count)
  if(NOT count EQUAL 1)
    message(FATAL_ERROR "Give one architecture in CMAKE_OSX_ARCHITECTURES: OpenSSL is built for one at a time")
  endif()
  set(openssl_target "darwin64-${CMAKE_OSX_ARCHITECTURES}-cc")
  if(CMAKE_OSX_SYSROOT MATCHES "[Ii][Pp]hone[Ss]imulator")
    set(openssl_flags "-mios-simulator-version-min=${CMAKE_OSX_DEPLOYMENT_TARGET}")
  elseif(CMAKE_SYSTEM_NAME STREQUAL "iOS")
    set(openssl_flags "-mios-version-min=${CMAKE_OSX_DEPLOYMENT_TARGET}")
  else()
    set(openssl_flags "-mmacosx-version-min=${CMAKE_OSX_DEPLOYMENT_TARGET}")
  endif()
  if(CMAKE_OSX_SYSROOT)
    list(APPEND openssl_flags -isysroot "${CMAKE_OSX_SYSROOT}")
  endif()
else()
  set(openssl_target "linux-${CMAKE_SYSTEM_PROCESSOR}")
endif()

include(ExternalProject)
set(openssl "${CMAKE_BINARY_DIR}/openssl")
include(ProcessorCount)
ProcessorCount(processors)
ExternalProject_Add(tunproxy_openssl
  SOURCE_DIR "${TUNPROXY_THIRD_PARTY}/openssl"
  BINARY_DIR "${openssl}-build"
  CONFIGURE_COMMAND "${CMAKE_COMMAND}" -E env ${openssl_environment} perl <SOURCE_DIR>/Configure ${openssl_target}
    no-shared no-tests no-module no-engine no-dso "--prefix=${openssl}" --libdir=lib ${openssl_flags}
  BUILD_COMMAND "${CMAKE_COMMAND}" -E env ${openssl_environment} make -j${processors} build_libs
  INSTALL_COMMAND "${CMAKE_COMMAND}" -E env ${openssl_environment} make install_dev
  BUILD_BYPRODUCTS "${openssl}/lib/libcrypto.a" "${openssl}/lib/libssl.a"
  LOG_CONFIGURE ON LOG_BUILD ON LOG_INSTALL ON LOG_OUTPUT_ON_FAILURE ON)
file(MAKE_DIRECTORY "${openssl}/include")
foreach(part Crypto SSL)
  string(TOLOWER "${part}" file)
  add_library(OpenSSL::${part} STATIC IMPORTED GLOBAL)
  set_target_properties(OpenSSL::${part} PROPERTIES
    IMPORTED_LOCATION "${openssl}/lib/lib${file}.a" INTERFACE_INCLUDE_DIRECTORIES "${openssl}/include")
  add_dependencies(OpenSSL::${part} tunproxy_openssl)
endforeach()
target_link_libraries(OpenSSL::Crypto INTERFACE Threads::Threads ${CMAKE_DL_LIBS})
target_link_libraries(OpenSSL::SSL INTERFACE OpenSSL::Crypto)
