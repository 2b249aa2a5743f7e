/* A libcuda.so.1 without a driver behind it: it starts with START, names its VERSION, and refuses the rest. */
#include <string.h>

#define REFUSED 3 /* CUDA_ERROR_NOT_INITIALIZED */

static int refuse(void) { return START ? START : REFUSED; }

int cuInit(unsigned flags) {
  (void)flags;
  return START;
}

int cuDriverGetVersion(int *version) {
  *version = VERSION;
  return 0;
}

/* Of all that ONNX Runtime's provider is linked with, the one name that is not asked for below. */
int cuTensorMapEncodeTiled(void) { return refuse(); }

/* CUDA's runtime asks for every other function here, by name. */
int cuGetProcAddress_v2(const char *name, void **address, int version, unsigned long long flags, int *status) {
  (void)version;
  (void)flags;
  *address = (void *)refuse;
  if (strcmp(name, "cuInit") == 0) *address = (void *)cuInit;
  if (strcmp(name, "cuDriverGetVersion") == 0) *address = (void *)cuDriverGetVersion;
  if (strcmp(name, "cuGetProcAddress") == 0) *address = (void *)cuGetProcAddress_v2;
  if (status) *status = 0;
  return 0;
}

int cuGetProcAddress(const char *name, void **address, int version, unsigned long long flags) {
  return cuGetProcAddress_v2(name, address, version, flags, 0);
}
