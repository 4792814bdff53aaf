//! The data path: HTTP/1.1 and HTTP/2 in, the app's workers out.
