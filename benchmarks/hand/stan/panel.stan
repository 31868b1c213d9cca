data {
  int<lower=0> n, n_person, n_year;
  array[n] int<lower=1, upper=n_person> person;
  array[n] int<lower=1, upper=n_year> year;
  vector[n_person] schooling;
  vector[n] exper, union, wage;
}
transformed data {
  matrix[n, 2] X = append_col(union, exper);
}
parameters {
  real mu, tau, beta_exper, beta_schooling;
  real<lower=0> sd_person, sd_year, sigma;
  vector[n_person] z_person;
  vector[n_year] z_year;
}
model {
  vector[n_person] a_person = mu + beta_schooling * schooling + sd_person * z_person;
  vector[n_year] a_year = sd_year * z_year;
  mu ~ normal(1, 5);
  tau ~ std_normal();
  beta_exper ~ std_normal();
  beta_schooling ~ std_normal();
  sd_person ~ std_normal();
  sd_year ~ normal(0, 0.5);
  sigma ~ std_normal();
  z_person ~ std_normal();
  z_year ~ std_normal();
  wage ~ normal_id_glm(X, a_person[person] + a_year[year], [tau, beta_exper]', sigma);
}
