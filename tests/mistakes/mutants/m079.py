import numpy as np


def backward(W, B, A0, t):
    W0, W1, W2, W3, W4, W5, W6, W7 = W
    B0, B1, B2, B3, B4, B5, B6, B7 = B
    Z1 = A0 @ W0 + B0
    A1 = np.maximum(Z1, 0)
    Z2 = A1 @ W1 + B1
    A2 = np.maximum(Z2, 0)
    Z3 = A2 @ W2 + B2
    A3 = np.maximum(Z3, 0)
    Z4 = A3 @ W3 + B3
    A4 = np.maximum(Z4, 0)
    Z5 = A4 @ W4 + B4
    A5 = np.maximum(Z5, 0)
    Z6 = A5 @ W5 + B5
    A6 = np.maximum(Z6, 0)
    Z7 = A6 @ W6 + B6
    A7 = np.maximum(Z7, 0)
    y = A7 @ W7 + B7
    dy = 2 * (y - t) / len(y)
    dW7 = A7.T @ dy
    dB7 = dy.sum(axis=0)
    dA7 = dy @ W7.T
    dZ7 = dA7 * (A7 > 0)
    dW6 = A6.T @ dZ7
    dB6 = dZ7.sum(axis=0)
    dA6 = dZ7 @ W6.T
    dZ6 = dA6 * (A6 > 0)
    dW5 = A5.T @ dZ6
    dB5 = dZ6.sum(axis=0)
    dA5 = dZ6 @ W5.T
    dZ5 = dA5  # <--
    dW4 = A4.T @ dZ5
    dB4 = dZ5.sum(axis=0)
    dA4 = dZ5 @ W4.T
    dZ4 = dA4 * (A4 > 0)
    dW3 = A3.T @ dZ4
    dB3 = dZ4.sum(axis=0)
    dA3 = dZ4 @ W3.T
    dZ3 = dA3 * (A3 > 0)
    dW2 = A2.T @ dZ3
    dB2 = dZ3.sum(axis=0)
    dA2 = dZ3 @ W2.T
    dZ2 = dA2 * (A2 > 0)
    dW1 = A1.T @ dZ2
    dB1 = dZ2.sum(axis=0)
    dA1 = dZ2 @ W1.T
    dZ1 = dA1 * (A1 > 0)
    dW0 = A0.T @ dZ1
    dB0 = dZ1.sum(axis=0)
    return {
        "dy": dy,
        "dW[7]": dW7,
        "dB[7]": dB7,
        "dA[7]": dA7,
        "dZ[7]": dZ7,
        "dW[6]": dW6,
        "dB[6]": dB6,
        "dA[6]": dA6,
        "dZ[6]": dZ6,
        "dW[5]": dW5,
        "dB[5]": dB5,
        "dA[5]": dA5,
        "dZ[5]": dZ5,
        "dW[4]": dW4,
        "dB[4]": dB4,
        "dA[4]": dA4,
        "dZ[4]": dZ4,
        "dW[3]": dW3,
        "dB[3]": dB3,
        "dA[3]": dA3,
        "dZ[3]": dZ3,
        "dW[2]": dW2,
        "dB[2]": dB2,
        "dA[2]": dA2,
        "dZ[2]": dZ2,
        "dW[1]": dW1,
        "dB[1]": dB1,
        "dA[1]": dA1,
        "dZ[1]": dZ1,
        "dW[0]": dW0,
        "dB[0]": dB0,
    }
