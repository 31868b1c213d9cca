data {
  int<lower=0> n, n_block, n_plot;
  array[n_plot] int<lower=1, upper=n_block> block;
  array[n] int<lower=1, upper=n_plot> plot;
  vector[n_plot] irrigation;
  vector[n] nitrogen, harvest;
}
transformed data {
  matrix[n, 4] X;
  for (i in 1:n) {
    int low = nitrogen[i] == 1, high = nitrogen[i] == 2;
    X[i] = [low, high, low * irrigation[plot[i]], high * irrigation[plot[i]]];
  }
}
parameters {
  real mu, wet, low, high, wet_low, wet_high;
  real<lower=0> sd_block, sd_plot, sigma;
  vector[n_block] z_block;
  vector[n_plot] z_plot;
}
model {
  vector[n_block] a_block = mu + sd_block * z_block;
  vector[n_plot] a_plot = a_block[block] + wet * irrigation + sd_plot * z_plot;
  mu ~ normal(50, 20);
  [wet, low, high, wet_low, wet_high] ~ normal(0, 10);
  sd_block ~ normal(0, 10);
  sd_plot ~ normal(0, 10);
  sigma ~ normal(0, 10);
  z_block ~ std_normal();
  z_plot ~ std_normal();
  harvest ~ normal_id_glm(X, a_plot[plot], [low, high, wet_low, wet_high]', sigma);
}
