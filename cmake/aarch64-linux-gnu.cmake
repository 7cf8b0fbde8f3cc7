# Cross build for 64-bit ARM Linux with Debian's g++-aarch64-linux-gnu; qemu-aarch64 runs the programs, where it is there:
#   cmake -S . -B build/aarch64 --toolchain cmake/aarch64-linux-gnu.cmake -DEDGEVISION_PYTHON=OFF -DEDGEVISION_CHECKS=ON
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
find_program(QEMU qemu-aarch64)
if(QEMU)
  set(CMAKE_CROSSCOMPILING_EMULATOR "${QEMU};-L;/usr/aarch64-linux-gnu")
endif()
