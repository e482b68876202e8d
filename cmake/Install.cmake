# `make install`: headers, both libraries, the command, and what other builds
# need to find them.
include(CMakePackageConfigHelpers)

install(TARGETS kadmium_lib_shared kadmium_lib_static EXPORT kadmium
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY include/kadmium DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
if(KADMIUM_TOOL)
  install(TARGETS kadmium RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()

# What a static link needs besides, by the folders that are built in.
set(KADMIUM_REQUIRES_PRIVATE "libssl libcrypto")
if(SODIUM_FOUND)
  string(APPEND KADMIUM_REQUIRES_PRIVATE " libsodium")
endif()
if(KADMIUM_RUNTIME)
  string(APPEND KADMIUM_REQUIRES_PRIVATE " libuv libcares")
endif()
if(KADMIUM_STORE)
  string(APPEND KADMIUM_REQUIRES_PRIVATE " sqlite3")
endif()
if(KADMIUM_RUNTIME AND MINIUPNPC_FOUND AND
   NOT KADMIUM_PORT_MAPPING STREQUAL OFF)
  string(APPEND KADMIUM_REQUIRES_PRIVATE " miniupnpc")
endif()
set(KADMIUM_LIBS_PRIVATE "-lpthread")
if(KADMIUM_RUNTIME AND NATPMP_LIBRARY AND
   NOT KADMIUM_PORT_MAPPING STREQUAL OFF)
  string(APPEND KADMIUM_LIBS_PRIVATE " -lnatpmp")
  set(KADMIUM_STATIC_MORE ";natpmp")
endif()
# The prefix is known when it is installed: `cmake --install --prefix` may name
# another one than the build was configured with.
set(KADMIUM_PREFIX "@CMAKE_INSTALL_PREFIX@")
configure_file(packaging/kadmium.pc.in kadmium.pc.in @ONLY)
install(CODE "configure_file(\"${PROJECT_BINARY_DIR}/kadmium.pc.in\"
  \"${PROJECT_BINARY_DIR}/kadmium.pc\" @ONLY)")
install(FILES ${PROJECT_BINARY_DIR}/kadmium.pc
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/kadmium)
configure_package_config_file(packaging/kadmium-config.cmake.in
  kadmium-config.cmake INSTALL_DESTINATION ${package_dir}
  PATH_VARS CMAKE_INSTALL_INCLUDEDIR CMAKE_INSTALL_LIBDIR)
write_basic_package_version_file(kadmium-config-version.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/kadmium-config.cmake
  ${PROJECT_BINARY_DIR}/kadmium-config-version.cmake
  DESTINATION ${package_dir})
